/** What the runtime says to people who keep logs: every refusal and every straggler, with its ticket and the reason. */
import type { Logger } from "turnkeeper";
import { memoryStore } from "turnkeeper/memory";
import { expect, test } from "vitest";
import { startScripted } from "../support/scripted-host.ts";

interface Line {
	readonly level: keyof Logger;
	readonly fields: Record<string, unknown>;
	readonly text: string;
}

async function start() {
	const lines: Line[] = [];
	const keep =
		(level: keyof Logger) =>
		(fields: object, text = "") => {
			lines.push({ level, fields: fields as Line["fields"], text });
		};
	const host = await startScripted(memoryStore(), {
		graceMs: 100,
		logger: {
			debug: keep("debug"),
			info: keep("info"),
			warn: keep("warn"),
			error: keep("error"),
		},
	});
	return { ...host, lines };
}

test("a report that is late is a line, with the run's ticket, the run that is live and the reason", async () => {
	const { runtime, lines } = await start();
	const old = await runtime.admit("k", { runId: "old" });
	const reset = runtime.reset("k");
	await runtime.until("k", (row) => row?.generation === 2);
	expect(await old.end()).toMatchObject({ verdict: "archived" });
	await reset;
	expect(lines.filter(({ level }) => level === "info")).toEqual([
		{
			level: "info",
			fields: {
				ticket: old.ticket,
				sessionKey: "k",
				verdict: "archived",
				reason: expect.stringContaining("generation 1 has ended"),
				report: expect.objectContaining({ runId: "old", phase: "end" }),
				current: null,
			},
			text: expect.stringContaining("generation 1 has ended"),
		},
	]);
});

test.each([
	["of a run that nobody knows", { runId: "nobody", phase: "end" }, "unknown"],
	["that is malformed", { runId: "R", phase: "pause" }, "refused"],
])("a report %s is a line", async (_name, report, verdict) => {
	const { runtime, lines } = await start();
	await runtime.report(report as never);
	expect(lines).toMatchObject([
		{ level: "info", fields: { verdict, ticket: null, report } },
	]);
});

test("a run that outlives its grace period is a warning, with its ticket and what stopped it", async () => {
	const { runtime, clock, lines } = await start();
	const { ticket } = await runtime.send("k", "hello");
	const stopped = runtime.abort("k");
	await clock.advance(100);
	expect(await stopped).toMatchObject({
		report: { abandoned: [{ runId: ticket?.runId }] },
	});
	expect(lines).toMatchObject([
		{
			level: "warn",
			fields: { ticket, stoppedBy: "abort" },
			text: expect.stringContaining("abandoned"),
		},
	]);
});
