/** Scenarios of category QM: messages that arrive while a run is live, ends or is told to stop. */
import { expect, test } from "vitest";
import { now } from "../support/scripted-host.ts";
import { turns } from "../support/virtual-clock.ts";
import { agree, scenarios } from "./scenario.ts";

/** All orders of some things. */
function ordersOf<T>(things: readonly T[]): readonly T[][] {
	if (things.length === 0) return [[]];
	return things.flatMap((first, i) =>
		ordersOf(things.toSpliced(i, 1)).map((rest) => [first, ...rest]),
	);
}

scenarios("QM, messages during a run", ({ start }) => {
	test("QM-05 a message that arrives as the line is found empty and the place is freed is taken at once", async () => {
		for (let later = 0; later <= 12; later++) {
			const host = await start();
			const { runtime, scripted } = host;
			const first = await runtime.send("k", "first");
			scripted.last.end();
			// A few steps into the end of the run, each time one more.
			for (let i = 0; i < later; i++) await Promise.resolve();
			const { settled } = await runtime.send("k", "second");
			await first.settled;
			expect(scripted.last.run.messages).toMatchObject([{ input: "second" }]);
			scripted.last.end("answer");
			expect(await settled).toMatchObject({
				outcome: "completed",
				output: "answer",
			});
			expect(await agree(host, "k")).toMatchObject({
				status: "ended",
				queued: 0,
			});
		}
	});

	test("QM-11 a session is idle when no accepted turn remains, and the turn after the first can be stopped", async () => {
		const host = await start();
		const { runtime, scripted } = host;
		const one = await runtime.send("k", "turn 1");
		const two = await runtime.send("k", "turn 2");
		const idle = runtime.whenIdle("k");
		scripted.last.end();
		await one.settled;
		// Between the two turns no row says that nothing runs.
		expect(
			host.feed.flatMap((event) =>
				event.type === "row" ? [event.row.status] : [],
			),
		).toEqual(["running", "running", "running"]);
		expect(await now(idle)).toBe("pending");
		const stopped = runtime.abort("k");
		await turns();
		expect(scripted.last.run.signal.aborted).toBe(true);
		scripted.last.end();
		expect(await stopped).toMatchObject({ result: "done" });
		expect(await two.settled).toMatchObject({ outcome: "aborted" });
		await idle;
		expect(await agree(host, "k")).toMatchObject({
			status: "ended",
			lastOutcome: "aborted",
		});
	});

	test("QM-13 a message that meets the end of a run and a stop, in whatever order, runs", async () => {
		for (const order of ordersOf(["end", "stop", "send"] as const)) {
			const host = await start();
			const { runtime, scripted } = host;
			const first = await runtime.send("k", "first");
			const { runId } = first.ticket as { runId: string };
			const [run] = scripted.runs;
			let stopped: Promise<unknown> = Promise.resolve();
			let sent: ReturnType<typeof runtime.send> | undefined;
			const acts = {
				end: () => run?.end(),
				stop: () => {
					stopped = runtime.abort("k", { expect: { runId } });
				},
				send: () => {
					sent = runtime.send("k", "of the user");
				},
			};
			for (const act of order) acts[act]();
			const receipt = await sent;
			await stopped;
			await first.settled;
			await turns();
			expect(scripted.runs, order.join()).toHaveLength(2);
			expect(scripted.last.run.messages).toMatchObject([
				{ input: "of the user" },
			]);
			expect(scripted.last.run.signal.aborted).toBe(false);
			scripted.last.end();
			expect(await receipt?.settled, order.join()).toMatchObject({
				outcome: "completed",
			});
			expect(await agree(host, "k")).toMatchObject({
				status: "ended",
				queued: 0,
			});
		}
	});
});
