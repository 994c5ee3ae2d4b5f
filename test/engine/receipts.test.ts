/** What a receipt's `settled` says: how the message's run ended, or that there was none. It never rejects. */
import { describe, expect, test } from "vitest";
import { turns } from "../../src/testing/virtual-clock.ts";
import { close } from "../support/restart.ts";
import { now, startScripted } from "../support/scripted-host.ts";
import { storeKinds } from "../support/stores.ts";

for (const [kind, makeStore] of storeKinds)
	describe(`a receipt, on ${kind}`, () => {
		const start = (options?: Parameters<typeof startScripted>[1]) =>
			startScripted(makeStore(), options);

		test("says 'completed' with the output, which need not be JSON", async () => {
			const { runtime, scripted } = await start();
			const { settled, ticket } = await runtime.send("k", "hello");
			const output = new Map([["reply", () => {}]]);
			scripted.last.end(output);
			const how = await settled;
			expect(how).toEqual({ ticket, outcome: "completed", output });
			expect(how.output).toBe(output);
			expect(await runtime.get("k")).toMatchObject({
				status: "ended",
				hasActiveRun: false,
				activeRun: null,
				lastOutcome: "completed",
				lastError: null,
			});
		});

		test("of a run without output has none", async () => {
			const { runtime, scripted } = await start();
			const { settled, ticket } = await runtime.send("k", "hello");
			scripted.last.end();
			expect(await settled).toEqual({ ticket, outcome: "completed" });
		});

		test("says 'failed' with the error's text, as the row does", async () => {
			const { runtime, scripted } = await start();
			const { settled, ticket } = await runtime.send("k", "hello");
			scripted.last.fail(new Error("no model"));
			expect(await settled).toEqual({
				ticket,
				outcome: "failed",
				error: "no model",
			});
			expect(await runtime.get("k")).toMatchObject({
				status: "failed",
				lastOutcome: "failed",
				lastError: "no model",
			});
		});

		for (const command of ["abort", "reset", "delete"] as const) {
			test(`says 'aborted' after ${command}, and the output of a stopped run is discarded`, async () => {
				const { runtime, scripted } = await start();
				const { settled, ticket } = await runtime.send("k", "hello");
				const stopped = runtime[command]("k");
				await turns();
				expect(await now(settled)).toBe("pending");
				scripted.last.end("too late");
				expect(await settled).toEqual({ ticket, outcome: "aborted" });
				expect(await stopped).toMatchObject({ result: "done" });
			});

			test(`says 'abandoned' of a run that ignores ${command} for longer than its grace period`, async () => {
				const { runtime, scripted, clock } = await start({ graceMs: 100 });
				const { settled, ticket } = await runtime.send("k", "hello");
				const stopped = runtime[command]("k");
				await clock.advance(99);
				expect(await now(settled)).toBe("pending");
				await clock.advance(1);
				expect(await settled).toEqual({ ticket, outcome: "abandoned" });
				expect(await stopped).toMatchObject({
					report: { drained: [], abandoned: [{ outcome: "abandoned" }] },
				});
				scripted.last.end("far too late");
				await turns();
				expect((await runtime.runs("k")).items).toMatchObject([
					{ outcome: "abandoned", stoppedBy: command },
				]);
			});

			test(`says 'removed' of a message that ${command} dropped`, async () => {
				const { runtime, scripted } = await start();
				await runtime.send("k", "first");
				const { settled } = await runtime.send("k", "second", {
					messageId: "m2",
				});
				const stopped = runtime[command]("k", { queued: "drop" });
				expect(await settled).toEqual({ ticket: null, outcome: "removed" });
				scripted.last.end();
				expect(await stopped).toMatchObject({ report: { removed: ["m2"] } });
				expect(scripted.runs).toHaveLength(1);
			});
		}

		test("of a run that stopped because it was told to has no error", async () => {
			const { runtime, scripted } = await start();
			const { settled, ticket } = await runtime.send("k", "hello");
			const aborted = runtime.abort("k");
			await turns();
			scripted.last.fail(scripted.last.run.signal.reason);
			expect(await settled).toEqual({ ticket, outcome: "aborted" });
			await aborted;
		});

		test("of a stopped run that failed in another way says the error, and 'aborted'", async () => {
			const { runtime, scripted } = await start();
			const { settled, ticket } = await runtime.send("k", "hello");
			const aborted = runtime.abort("k");
			await turns();
			scripted.last.fail(new Error("broke while stopping"));
			expect(await settled).toEqual({
				ticket,
				outcome: "aborted",
				error: "broke while stopping",
			});
			await aborted;
			expect(await runtime.get("k")).toMatchObject({
				status: "ended",
				lastOutcome: "aborted",
				lastError: null,
			});
		});

		test("says 'aborted' of a message that a reset of the same tick follows", async () => {
			const { runtime } = await start({
				execute: async (run) => {
					while (!run.signal.aborted) await turns(1);
				},
			});
			const sent = runtime.send("k", "hello");
			const reset = runtime.reset("k");
			const { settled, ticket } = await sent;
			expect(await settled).toEqual({ ticket, outcome: "aborted" });
			expect(await reset).toMatchObject({
				report: { drained: [{ runId: ticket?.runId, outcome: "aborted" }] },
			});
		});

		test("of what ran and what waited when the runtime closed says 'interrupted'", async () => {
			const host = await start();
			const { runtime, scripted } = host;
			const running = await runtime.send("k", "first");
			const waiting = await runtime.send("k", "second");
			scripted.last.run.signal.addEventListener("abort", () =>
				scripted.last.end("partial"),
			);
			await close(host);
			expect(await running.settled).toEqual({
				ticket: running.ticket,
				outcome: "interrupted",
			});
			expect(await waiting.settled).toEqual({
				ticket: null,
				outcome: "interrupted",
			});
		});

		test("of a run that no close can stop says 'abandoned'", async () => {
			const host = await start();
			const { settled, ticket } = await host.runtime.send("k", "hello");
			await close(host, { graceMs: 50 });
			expect(await settled).toEqual({ ticket, outcome: "abandoned" });
		});
	});
