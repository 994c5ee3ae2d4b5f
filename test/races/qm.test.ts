/** Scenarios of category QM: messages that arrive while a run is live, ends or is told to stop. */
import { createSessionRuntime, type JsonValue } from "turnkeeper";
import { expect, test } from "vitest";
import { CrashingStore } from "../../src/testing/crashing-store.ts";
import { silent } from "../support/host.ts";
import { codeOf, now } from "../support/scripted-host.ts";
import { stillClock, turns } from "../support/turns.ts";
import { agree, scenarios, type WatchedHost, watch } from "./scenario.ts";

/** All orders of some things. */
function ordersOf<T>(things: readonly T[]): readonly T[][] {
	if (things.length === 0) return [[]];
	return things.flatMap((first, i) =>
		ordersOf(things.toSpliced(i, 1)).map((rest) => [first, ...rest]),
	);
}

/** What each run was given at its begin, in order. */
function inputsOf({ scripted }: WatchedHost): unknown[][] {
	return scripted.runs.map(({ run }) => run.messages.map(({ input }) => input));
}

scenarios("QM, messages during a run", ({ makeStore, start }) => {
	test("QM-01 a message that steers a run as that looks for the last time and ends is answered once, by it or by the next", async () => {
		const takers = new Set<unknown>();
		for (let later = -6; later <= 12; later++) {
			const answered: unknown[] = [];
			const looked = Promise.withResolvers<void>();
			const host = await start({
				overlap: "steer",
				execute: async (run) => {
					answered.push(...run.messages.map(({ input }) => input));
					if (run.messages[0]?.input !== "first") return;
					// The last look at what steers it is under way when the model's turn is done.
					void (async () => {
						for await (const { input } of run.steering) answered.push(input);
					})();
					await looked.promise;
				},
			});
			const { runtime } = host;
			const first = await runtime.send("k", "first");
			const end = async () => {
				if (later < 0) await turns(-later);
				looked.resolve();
			};
			const ended = end();
			for (let i = 0; i < later; i++) await Promise.resolve();
			const late = await runtime.send("k", "M", { messageId: "M" });
			await ended;
			expect(await first.settled).toMatchObject({ outcome: "completed" });
			const how = await late.settled;
			expect(how, `${later}`).toMatchObject({ outcome: "completed" });
			expect(answered, `${later}`).toEqual(["first", "M"]);
			// The run that it settled with is the one that has it.
			const { items } = await runtime.runs("k");
			takers.add(items.length);
			expect(
				items.flatMap(({ runId, messageIds }) =>
					messageIds.includes("M") ? [runId] : [],
				),
			).toEqual([how.ticket?.runId]);
			expect(await agree(host, "k")).toMatchObject({
				status: "ended",
				queued: 0,
			});
		}
		// Both came up: the run that it met, and the next.
		expect(takers).toEqual(new Set([1, 2]));
	});

	test("QM-02 a message that was to steer a run that has ended is taken before the message that came after it", async () => {
		for (const mode of ["enqueue", "steer", "collect"] as const)
			for (let later = 0; later <= 12; later++) {
				const host = await start();
				const { runtime, scripted } = host;
				await runtime.send("k", "first");
				// Nobody looks at it, so it waits to be handed over.
				const m1 = await runtime.send("k", "M1", { overlap: "steer" });
				expect(m1.disposition).toBe("steered");
				expect(await runtime.queue.list("k")).toMatchObject([{ input: "M1" }]);
				scripted.last.end();
				for (let i = 0; i < later; i++) await Promise.resolve();
				const m2 = await runtime.send("k", "M2", { overlap: mode });
				for (const { settled } of [m1, m2]) {
					await turns();
					scripted.last.end();
					expect(await settled).toMatchObject({ outcome: "completed" });
				}
				const said = `${mode}, ${later}`;
				expect(inputsOf(host), said).toEqual([["first"], ["M1"], ["M2"]]);
				expect(await agree(host, "k")).toMatchObject({ queued: 0 });
			}
	});

	test("QM-04 a message keeps what it was accepted with until it is taken, in every mode that lets it wait", async () => {
		const waits = ["enqueue", "latest", "collect", "steer"] as const;
		for (const mode of waits)
			for (const ends of ["the run", "the generation"]) {
				const asked: unknown[] = [];
				const host = await start({
					overlap: (_, { input }) => {
						asked.push(input);
						return mode;
					},
				});
				const { runtime, scripted } = host;
				const a = await runtime.send("k", "A");
				const authority = { of: "the sender of B", may: ["read"] };
				const b = await runtime.send("k", authority, {
					messageId: "B",
					expect: { generation: a.ticket?.generation },
				});
				expect(b.disposition).toBe(mode === "steer" ? "steered" : "queued");
				const reset =
					ends === "the generation" ? runtime.reset("k") : Promise.resolve();
				await turns();
				scripted.last.end();
				await reset;
				await a.settled;
				await turns();
				if (ends === "the run") {
					expect(scripted.last.run.messages, mode).toMatchObject([
						{ messageId: "B", input: authority, generation: 1 },
					]);
					scripted.last.end();
				}
				expect(await b.settled, `${mode}, ${ends} ends`).toMatchObject({
					outcome: ends === "the run" ? "completed" : "removed",
				});
				// Its mode was decided when it came, and never again.
				expect(asked).toEqual(["A", authority]);
				expect(scripted.runs).toHaveLength(ends === "the run" ? 2 : 1);
				expect(await agree(host, "k")).toMatchObject({ queued: 0 });
			}
	});

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

	test("QM-07 a message that comes during a run is refused with an error, waits, or is passed over and listed in the run that is taken instead", async () => {
		const names = ["B", "C", "D"];
		const outcomes: Record<
			"reject" | "enqueue" | "latest" | "collect" | "two at most",
			Record<"runs" | "skipped", string[][]> & { left: string[] }
		> = {
			reject: { runs: [["A"]], skipped: [[]], left: names },
			enqueue: {
				runs: [["A"], ["B"], ["C"], ["D"]],
				skipped: [[], [], [], []],
				left: [],
			},
			latest: {
				runs: [["A"], ["D"]],
				skipped: [[], ["B", "C"]],
				left: ["B", "C"],
			},
			collect: { runs: [["A"], ["B", "C", "D"]], skipped: [[], []], left: [] },
			"two at most": {
				runs: [["A"], ["C"], ["D"]],
				skipped: [[], [], ["B"]],
				left: ["B"],
			},
		};
		for (const [name, { runs, skipped, left }] of Object.entries(outcomes)) {
			const host = await start({
				overlap:
					name === "two at most"
						? { mode: "enqueue", capacity: 2, onFull: "drop-oldest" }
						: (name as Exclude<keyof typeof outcomes, "two at most">),
			});
			const { runtime, scripted } = host;
			const send = (input: string) =>
				runtime.send("k", input, { messageId: input }).then(
					({ settled }) => settled,
					({ code }) => ({ outcome: code }),
				);
			const a = send("A");
			await turns();
			const sent = names.map((input) => send(input));
			for (let i = 0; i < runs.length; i++) {
				await turns();
				scripted.runs[i]?.end();
			}
			expect(await a, name).toMatchObject({ outcome: "completed" });
			const lost = name === "reject" ? "SESSION_BUSY" : "removed";
			expect(await Promise.all(sent), name).toMatchObject(
				names.map((input) => ({
					outcome: left.includes(input) ? lost : "completed",
				})),
			);
			expect(inputsOf(host), name).toEqual(runs);
			expect(
				scripted.runs.map(({ run }) => run.skipped.map(({ input }) => input)),
				name,
			).toEqual(skipped);
			expect(await agree(host, "k")).toMatchObject({ queued: 0 });
		}
	});

	test("QM-07 what is typed in one breath is taken by one run, when the quiet window after the last of it is over", async () => {
		const host = await start({ overlap: { mode: "collect", debounceMs: 800 } });
		const { runtime, scripted, clock } = host;
		const sent = [];
		for (const input of ["so", "what about", "tomorrow?"]) {
			await clock.advance(700);
			sent.push(await runtime.send("k", input));
		}
		await clock.advance(799);
		expect(scripted.runs).toEqual([]);
		expect(await agree(host, "k")).toMatchObject({ status: "idle", queued: 3 });
		await clock.advance(1);
		expect(inputsOf(host)).toEqual([["so", "what about", "tomorrow?"]]);
		scripted.last.end("answer");
		for (const { settled } of sent)
			expect(await settled).toMatchObject({ output: "answer" });
		expect(await agree(host, "k")).toMatchObject({ status: "ended" });
	});

	test("QM-08 a run that a newer message has forced out writes nothing more, and the newer run begins when it has settled or is given up", async () => {
		const host = await start({ overlap: "interrupt", graceMs: 1000 });
		const { runtime, scripted, clock } = host;
		const a = await runtime.send("k", "A");
		const { run } = scripted.last;
		await run.append("A says");
		const waits = codeOf(run.waitFor("approval"));
		await turns();
		const b = await runtime.send("k", "B");
		expect(b.disposition).toBe("queued");
		expect(run.signal.reason).toMatchObject({ by: "interrupt" });
		expect(await waits).toBe("RUN_ABORTED");
		// A streams on, and takes no notice.
		const writes = () => [
			run.deliver("reply", () => {
				effects.push("posted");
			}),
			run.rotate(),
			run.spawn("helper", "work"),
			run.waitFor("more"),
		];
		const effects: string[] = [];
		for (const write of writes()) expect(await codeOf(write)).toBe("STALE_RUN");
		await clock.advance(999);
		expect(scripted.runs).toHaveLength(1);
		expect(await agree(host, "k")).toMatchObject({
			status: "running",
			activeRun: a.ticket,
			waits: [],
			queued: 1,
		});
		await clock.advance(1);
		expect(await a.settled).toMatchObject({ outcome: "abandoned" });
		expect(inputsOf(host)).toEqual([["A"], ["B"]]);
		const before = await agree(host, "k");
		for (const write of [...writes(), run.append("A still says")])
			expect(await codeOf(write)).toBe("STALE_RUN");
		run.progress("from A");
		scripted.runs[0]?.end("answer of A");
		await turns();
		expect(await agree(host, "k")).toEqual(before);
		expect(scripted.last.run.signal.aborted).toBe(false);
		await scripted.last.run.append("B says");
		scripted.last.end("answer of B");
		expect(await b.settled).toMatchObject({ output: "answer of B" });
		const heard: unknown[] = [];
		for await (const item of runtime.follow(scripted.last.run.ticket))
			heard.push(item);
		expect([heard, effects]).toEqual([[], []]);
		expect((await runtime.transcript("k")).items).toMatchObject([
			{ entry: "B says" },
			{ entry: "A says" },
		]);
		expect(await runtime.get("helper")).toBeNull();
		await agree(host, "k");
	});

	test("QM-10 each message that rolls back stops the run before it and takes back what that appended, however its mode was said", async () => {
		const ways = {
			"for all": { host: { overlap: "rollback" }, send: {} },
			"by policy": { host: { overlap: { mode: "rollback" } }, send: {} },
			"by function": { host: { overlap: () => "rollback" as const }, send: {} },
			"by message": { host: {}, send: { overlap: "rollback" } },
		} as const;
		for (const [way, options] of Object.entries(ways)) {
			const host = await start(options.host);
			const { runtime, scripted, clock } = host;
			const sent = [];
			for (const input of ["A", "B", "C"]) {
				const before = scripted.runs.at(-1);
				sent.push(await runtime.send("k", input, options.send));
				if (before) {
					expect(before.run.signal.reason, way).toMatchObject({
						by: "interrupt",
					});
					// What it appends while it comes to its end is taken back as well.
					await before.run.append("late");
					before.end();
					await turns();
				}
				const { run } = scripted.last;
				expect(run.messages, way).toMatchObject([{ input }]);
				expect(await run.transcript()).toEqual([]);
				await run.append(`working on ${input}`);
				run.usage({ outputTokens: 1 });
				await clock.advance(500);
			}
			scripted.last.end();
			expect(
				(await Promise.all(sent.map(({ settled }) => settled))).map(
					({ outcome }) => outcome,
				),
			).toEqual(["aborted", "aborted", "completed"]);
			expect((await runtime.transcript("k")).items).toMatchObject([
				{ entry: "working on C" },
			]);
			// Nothing is billed back, and each run still says what it was given.
			expect((await runtime.runs("k")).items).toMatchObject(
				sent
					.map(({ messageId }) => ({
						messageIds: [messageId],
						outputTokens: 1,
					}))
					.reverse(),
			);
			expect(await agree(host, "k")).toMatchObject({ outputTokens: 3 });
		}
	});

	test("QM-10 of two messages that roll back while the run still comes to its end the newer runs first, and the older after it", async () => {
		const host = await start({ overlap: "rollback" });
		const { runtime, scripted, clock } = host;
		await runtime.send("k", "A");
		await clock.advance(500);
		const b = await runtime.send("k", "B");
		const c = await runtime.send("k", "C");
		expect(await runtime.queue.list("k")).toMatchObject([
			{ input: "C" },
			{ input: "B" },
		]);
		expect(scripted.runs).toHaveLength(1);
		for (const { settled } of [c, b]) {
			scripted.last.end();
			await turns();
			scripted.last.end();
			expect(await settled).toMatchObject({ outcome: "completed" });
		}
		expect(inputsOf(host)).toEqual([["A"], ["C"], ["B"]]);
		expect(await agree(host, "k")).toMatchObject({ queued: 0 });
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

	test("QM-13 a message that meets the end of a run and a stop, in whatever order and mode, runs", async () => {
		const modes = [
			"enqueue",
			"latest",
			"collect",
			"steer",
			"interrupt",
			"rollback",
		] as const;
		for (const overlap of modes)
			for (const order of ordersOf(["end", "stop", "send"] as const)) {
				const host = await start({ overlap });
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
				const said = `${overlap}: ${order.join()}`;
				expect(inputsOf(host), said).toEqual([["first"], ["of the user"]]);
				expect(scripted.last.run.signal.aborted).toBe(false);
				scripted.last.end();
				expect(await receipt?.settled, said).toMatchObject({
					outcome: "completed",
				});
				expect(await agree(host, "k")).toMatchObject({
					status: "ended",
					queued: 0,
				});
			}
	});

	test("QM-14 a run that another process drives is live to every call that comes here, until it ends or its lease does", async () => {
		for (const ends of ["by its report", "with its lease"])
			for (const mode of ["enqueue", "steer", "collect", "latest"] as const) {
				const store = new CrashingStore(makeStore());
				const first = await watch(store);
				const run = await first.runtime.admit("k", {
					runId: "main 1",
					leaseMs: 60_000,
				});
				await store.crash();
				// The store has gone to another process; the run goes on where it was.
				const host = await watch(store);
				const { runtime, scripted, clock } = host;
				await clock.advance(59_000);
				const { ticket } = run;
				expect(await agree(host, "k")).toMatchObject({ activeRun: ticket });
				const sent = await runtime.send("k", "now", { overlap: mode });
				expect(sent.disposition).toBe("queued");
				for (const refused of [
					runtime.send("k", "no", { overlap: "reject" }),
					runtime.admit("k", { runId: "main 2" }),
				])
					expect(await codeOf(refused)).toBe("SESSION_BUSY");
				expect(scripted.runs).toEqual([]);
				if (ends === "by its report")
					expect(
						await runtime.report({ ...ticket, phase: "end" }),
					).toMatchObject({ verdict: "applied" });
				else await clock.advance(1000);
				await turns();
				expect(inputsOf(host)).toEqual([["now"]]);
				scripted.last.end();
				expect(await sent.settled).toMatchObject({ outcome: "completed" });
				expect((await runtime.runs("k")).items).toMatchObject([
					{ outcome: "completed", messageIds: [sent.messageId] },
					{
						runId: "main 1",
						outcome: ends === "by its report" ? "completed" : "interrupted",
					},
				]);
				await agree(host, "k");
				// Nor is there a second process that could see nothing run.
				const second = createSessionRuntime<JsonValue>({
					store,
					clock: stillClock(),
					logger: silent,
				});
				expect(await codeOf(second.start())).toBe("STORE_LOCKED");
			}
	});
});
