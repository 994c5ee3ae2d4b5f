/** The console of a store's file that a host elsewhere owns. */
import { createSessionRuntime } from "turnkeeper";
import { sqliteStore } from "turnkeeper/sqlite";
import { expect, onTestFinished, test } from "vitest";
import { StoreSource } from "../../src/inspect/store-source.ts";
import type { Logger } from "../../src/logger.ts";
import { startOwner } from "../cli/beside.ts";
import { silent } from "../support/host.ts";
import { temporaryFile } from "../support/stores.ts";
import { openConsole, PageClient, until } from "./console-client.ts";

async function look(file: string, logger: Logger = silent) {
	const { url } = await openConsole(
		new StoreSource(await sqliteStore(file).read(), file, logger),
	);
	return PageClient.open(url);
}

async function start(file: string) {
	const runtime = createSessionRuntime({
		store: sqliteStore(file),
		logger: silent,
	});
	onTestFinished(() => runtime.close({ graceMs: 0 }));
	return runtime.start();
}

test("what a host in another process does is seen, and nothing can be done to it", async () => {
	const file = temporaryFile();
	const owner = await startOwner(file);
	const page = await look(file);
	await page.readRows();
	expect([...page.lines.values()]).toMatchObject([
		{ sessionKey: "live", status: "running", runId: "r-live" },
	]);
	const [hello] = page.said;
	expect(hello).toMatchObject({
		say: "hello",
		host: {
			name: file,
			readOnly: expect.stringContaining("createConsole"),
			tellsAll: false,
		},
	});
	await page.watch("live");
	expect(page.parts).toMatchObject({
		state: "running",
		runs: { items: [{ runId: "r-live", outcome: null }] },
	});
	const expected = { generation: 1 };
	for (const ask of ["reset", "abort", "delete"] as const)
		await expect(
			page.command({ ask, sessionKey: "live", expect: expected }),
		).rejects.toThrow(/^nothing was done: .*createConsole/);
	await expect(
		page.command({ ask: "remove", sessionKey: "live", messageId: "m" }),
	).rejects.toThrow("nothing was done");

	await owner.write();
	await until(() =>
		expect(page.lines.get("chat:1")).toMatchObject({ status: "idle" }),
	);
	await owner.close();
	await until(() => {
		expect(page.lines.get("live")?.status).toBe("ended");
		expect(page.parts).toMatchObject({
			state: "ended",
			transition: { from: "running", to: "ended", event: "" },
			runs: { items: [{ runId: "r-live", outcome: "interrupted" }] },
		});
	});
});

test("every part of a session is followed: archive, refusals that move no version, transcript, queue, and its end", async () => {
	const file = temporaryFile();
	const runtime = await start(file);
	const run = await runtime.admit("k", { runId: "r1" });
	const page = await look(file);
	await page.readRows();
	await page.watch("k");
	await run.append("hello");
	await run.end();
	await until(() =>
		expect(page.parts).toMatchObject({
			state: "ended",
			transcript: { items: [{ entry: "hello" }] },
		}),
	);
	const { version } = page.parts.row ?? {};
	await runtime.report({ runId: "r1", phase: "end" });
	await until(() =>
		expect(page.parts).toMatchObject({
			row: { version },
			refusals: { items: [{ verdict: "duplicate" }] },
		}),
	);
	await runtime.delete("k", { reason: "gone" });
	await until(() =>
		expect(page.parts).toMatchObject({
			row: null,
			state: null,
			generations: { items: [{ endedBy: "delete", reason: "gone" }] },
		}),
	);
	// In the table it is found by asking for all again.
	page.lines.clear();
	await page.readRows();
	expect(page.lines.size).toBe(0);
});

test("a reader that fails is said once, and costs no page its socket", async () => {
	const file = temporaryFile();
	await start(file);
	const said: string[] = [];
	const reader = await sqliteStore(file).read();
	const { url } = await openConsole(
		new StoreSource(reader, file, {
			...silent,
			warn: (_, message) => said.push(message ?? ""),
		}),
	);
	const page = await PageClient.open(url);
	await page.watch("k");
	await reader[Symbol.asyncDispose]();
	await until(() => expect(said).not.toEqual([]));
	await expect(page.readRows()).rejects.toThrow(/closed/);
	expect(said).toHaveLength(1);
});
