/** Scenarios of category VD: an event that is the run's own is taken for a stale one, and what it should have ended goes on. */
import type { SessionRow } from "turnkeeper";
import { expect, test } from "vitest";
import { CrashingStore } from "../../src/testing/crashing-store.ts";
import { FaultyStore } from "../../src/testing/faulty-store.ts";
import { close } from "../support/restart.ts";
import { codeOf, now } from "../support/scripted-host.ts";
import { stillClock, turns } from "../support/turns.ts";
import { agree, scenarios, watch } from "./scenario.ts";

const minute = 60_000;

scenarios("VD, a valid event is dropped as stale", ({ makeStore, start }) => {
	test("VD-01 a run that two clocks have dated ends by its own end, whatever the dates, and a restart leaves it ended", async () => {
		const store = new CrashingStore(makeStore());
		let host = await watch(store);
		const t = host.clock.now();
		const dates: Record<string, [start: number, end: object]> = {
			"the end was dated first": [t + 7, { startedAt: t, endedAt: t + 5 }],
			"the end has a start of its own": [t, { startedAt: t + 7 }],
			"the end is before its start": [t, { startedAt: t + 7, endedAt: t }],
			"the end is of another century": [t, { startedAt: 0, endedAt: 1 }],
			"the end has no date": [t + 7, {}],
			"the start lies ahead": [t + 86_400_000, { endedAt: t }],
		};
		const rows: (SessionRow | null)[] = [];
		for (const [key, [startedAt, end]] of Object.entries(dates)) {
			await host.runtime.admit(key, { runId: key });
			expect(
				await host.runtime.report({ runId: key, phase: "start", startedAt }),
			).toMatchObject({ verdict: "applied" });
			// The clock of the machine is set back as well.
			host.clock.stepBack(minute);
			expect(
				await host.runtime.report({ runId: key, phase: "end", ...end }),
				key,
			).toMatchObject({ verdict: "applied" });
			const row = await agree(host, key);
			expect(row, key).toMatchObject({
				status: "ended",
				lastOutcome: "completed",
				startedAt,
			});
			expect(row?.runtimeMs, key).toBeGreaterThanOrEqual(0);
			rows.push(row);
		}
		for (let life = 0; life < 2; life++) {
			await store.crash();
			host = await watch(store);
			const { items } = await host.runtime.list();
			expect(items).toEqual(
				rows.toSorted((a, b) =>
					String(a?.sessionKey) < String(b?.sessionKey) ? -1 : 1,
				),
			);
		}
	});

	test("VD-02 a run whose end was committed is not live again, whatever is heard, seen or counted of it later", async () => {
		const store = new CrashingStore(makeStore());
		let host = await watch(store);
		const run = await host.runtime.admit("k", {
			runId: "R",
			leaseMs: 5 * minute,
		});
		await run.start();
		expect(await run.end()).toMatchObject({ verdict: "applied" });
		const ended = await agree(host, "k");
		const heard = host.feed.length;
		for (let life = 0; life < 2; life++) {
			for (const phase of ["start", "end"] as const)
				expect(await host.runtime.report({ runId: "R", phase })).toMatchObject({
					verdict: "duplicate",
				});
			for (const report of [
				{ runId: "R", phase: "progress", value: 1 },
				{ runId: "R", phase: "error", error: "late" },
			] as const)
				expect(await host.runtime.report(report)).not.toMatchObject({
					verdict: "applied",
				});
			run.progress("late");
			// Its lease, and the watchdog, three times over.
			await host.clock.advance(16 * minute);
			expect(await agree(host, "k")).toEqual(ended);
			expect(
				host.feed
					.slice(life === 0 ? heard : 0)
					.filter(({ type }) => type === "row"),
			).toEqual([]);
			await store.crash();
			host = await watch(store);
		}
		expect((await host.runtime.runs("k")).items).toMatchObject([
			{ runId: "R", attempt: 1, outcome: "completed" },
		]);
		expect(await agree(host, "k")).toMatchObject({ hasActiveRun: false });
	});

	test("VD-04 what is left of a dead generation, also of another harness, is in the way of nothing that is done to the session", async () => {
		const acts = {
			delete: ({ runtime }) => runtime.delete("k"),
			purge: ({ runtime }) => runtime.delete("k", { purge: true }),
			reset: ({ runtime }) => runtime.reset("k"),
			patch: ({ runtime }) => runtime.patch("k", { model: "m" }),
		} satisfies Record<
			string,
			(host: Awaited<ReturnType<typeof watch>>) => Promise<{ result: string }>
		>;
		for (const [name, act] of Object.entries(acts)) {
			const store = new CrashingStore(makeStore());
			// One harness makes a binding, whose end it never comes to, and dies over it.
			const old = await watch(store, {
				onGenerationEnded: () => new Promise(() => {}),
			});
			await old.runtime.send("k", "hangs", { meta: { binding: "B" } });
			void codeOf(old.runtime.reset("k", { sessionId: "S_new" }));
			await turns();
			expect(await agree(old, "k")).toMatchObject({ status: "resetting" });
			await store.crash();
			// The other knows nothing of bindings.
			const host = await watch(store);
			await turns();
			expect(await agree(host, "k"), name).toMatchObject({
				status: "idle",
				generation: 2,
				sessionId: "S_new",
				draining: 0,
			});
			expect(await act(host), name).toMatchObject({ result: "done" });
			const { disposition, settled } = await host.runtime.send("k", "next");
			expect(disposition, name).toBe("started");
			host.scripted.last.end();
			expect(await settled).toMatchObject({ outcome: "completed" });
			expect(await agree(host, "k")).toMatchObject({ status: "ended" });
		}
	});

	test("VD-05 a run whose generation has ended releases its place, however it ends, and what waits is taken", async () => {
		const ways = ["dies", "ends", "ignores it"] as const;
		for (const way of ways) {
			const host = await start({ graceMs: 1000, maxConcurrentRuns: 1 });
			const { runtime, scripted, clock } = host;
			const old = await runtime.send("k", "R1");
			const reset = runtime.reset("k", { reason: "/new" });
			const waits = await Promise.all(
				[1, 2, 3].map((n) => runtime.send("k", n)),
			);
			const elsewhere = await runtime.send("other", "for the same slot");
			await turns();
			// With the wrong generation, as the guard has it.
			if (way === "dies") scripted.last.fail(new Error("402"));
			else if (way === "ends") scripted.last.end();
			else await clock.advance(1000);
			expect(await reset).toMatchObject({ row: { draining: 0 } });
			expect(await old.settled).toMatchObject({
				outcome: way === "ignores it" ? "abandoned" : "aborted",
			});
			for (let i = 0; i < 4; i++) {
				await turns();
				expect(scripted.runs, `${way} ${i}`).toHaveLength(2 + i);
				scripted.last.end();
			}
			for (const { settled } of [...waits, elsewhere])
				expect(await settled, way).toMatchObject({ outcome: "completed" });
			await clock.advance(10 * minute);
			expect(await agree(host, "k")).toMatchObject({
				generation: 2,
				status: "ended",
				queued: 0,
			});
			expect(await agree(host, "other")).toMatchObject({ queued: 0 });
		}
	});

	test("VD-07 a session that was recovered takes ordinary turns, held to what was seen of it after that", async () => {
		const recoveries = [
			{ mode: "settle" },
			{ mode: "retry", maxAttempts: 5 },
		] as const;
		for (const recovery of recoveries)
			for (const before of ["a run", "a drain", "a wait", "a line"]) {
				const name = `${recovery.mode} after ${before}`;
				const store = new CrashingStore(makeStore());
				const dead = await watch(store, { recovery });
				await dead.runtime.send("k", "dies");
				const { run } = dead.scripted.last;
				if (before === "a drain") void codeOf(dead.runtime.reset("k"));
				if (before === "a wait") void codeOf(run.waitFor("a person"));
				if (before === "a line") await dead.runtime.send("k", "waits");
				await turns();
				await store.crash();
				const host = await watch(store, { recovery });
				const { runtime, scripted } = host;
				await turns();
				while (runtime.stats().running > 0) {
					scripted.last.end();
					await turns();
				}
				const seen = await agree(host, "k");
				expect(seen, name).toMatchObject({
					hasActiveRun: false,
					draining: 0,
					queued: 0,
				});
				// Nobody has touched it since: each field of what was seen still holds.
				const { generation, sessionId, version } = seen as SessionRow;
				const { settled } = await runtime.send("k", "ordinary", {
					expect: { generation, sessionId, version },
				});
				scripted.last.end();
				expect(await settled, name).toMatchObject({ outcome: "completed" });
				await (await runtime.admit("k", { runId: "host" })).end();
				expect(await agree(host, "k")).toMatchObject({
					status: "ended",
					generation,
				});
			}
	});

	test("VD-08 each busy is closed by its own idle, also when the turn that began it has gone before", async () => {
		const host = await start();
		const { runtime } = host;
		const busy = (runId: string) =>
			runtime.report({ sessionKey: "k", runId, phase: "start" });
		const idle = (runId: string) =>
			runtime.report({ sessionKey: "k", runId, phase: "end" });
		const shown = async () => (await agree(host, "k"))?.status;
		await runtime.admit("k", { runId: "turn", reserve: true });
		await runtime.admit("k", { runId: "subagent", reserve: true });
		expect(await busy("turn")).toMatchObject({ verdict: "applied" });
		expect(await idle("turn")).toMatchObject({ verdict: "applied" });
		expect(await shown()).toBe("ended");
		// The subagent begins when no turn is active.
		expect(await busy("subagent")).toMatchObject({ verdict: "applied" });
		expect(await shown()).toBe("running");
		expect(await idle("turn")).toMatchObject({ verdict: "duplicate" });
		expect(await shown()).toBe("running");
		expect(await idle("subagent")).toMatchObject({ verdict: "applied" });
		expect(await shown()).toBe("ended");
		// And of the waits in one run, each is closed by its own answer.
		const run = await runtime.admit("k", { runId: "asks" });
		for (const name of ["one", "two", "three"]) {
			const answer = run.waitFor(name);
			await turns();
			expect(await shown()).toBe("waiting");
			await runtime.resume(run.ticket, name, name);
			expect(await answer).toBe(name);
			expect(await shown()).toBe("running");
		}
		await run.end();
		expect(await agree(host, "k")).toMatchObject({
			status: "ended",
			hasActiveRun: false,
		});
	});

	test("VD-10 the end of a run that outlived its process ends it, in whichever generation it is by then, and no other", async () => {
		for (const then of ["nothing", "a reset", "a reset, and its end"]) {
			const store = new CrashingStore(makeStore());
			const before = await watch(store);
			const { ticket } = await before.runtime.admit("k", {
				runId: "R",
				leaseMs: minute,
			});
			await store.crash();
			const host = await watch(store, { graceMs: 1000 });
			const { runtime, clock } = host;
			expect(await agree(host, "k")).toMatchObject({ activeRun: ticket });
			const reset = then === "nothing" ? null : runtime.reset("k");
			await turns();
			let next = null;
			if (then === "a reset, and its end") {
				await clock.advance(1000);
				next = await runtime.admit("k", { runId: "next" });
			}
			const live = await agree(host, "k");
			const verdict = await runtime.report({ ...ticket, phase: "end" });
			expect(verdict, then).toMatchObject({
				verdict:
					then === "nothing"
						? "applied"
						: then === "a reset"
							? "archived"
							: "duplicate",
				ticket: { generation: 1 },
			});
			if (next) expect(await agree(host, "k")).toEqual(live);
			if (next) expect(await next.end()).toMatchObject({ verdict: "applied" });
			await reset;
			expect(await agree(host, "k"), then).toMatchObject({
				hasActiveRun: false,
				draining: 0,
				status: then === "a reset" ? "idle" : "ended",
			});
			expect((await runtime.runs("k")).items.at(-1)).toMatchObject({
				runId: "R",
				outcome:
					then === "nothing"
						? "completed"
						: then === "a reset"
							? "aborted"
							: "abandoned",
			});
		}
	});

	test("VD-10 the end of a run that was settled as its process died is told to whoever asks, and touches nothing of the one that is live", async () => {
		const store = new CrashingStore(makeStore());
		const before = await watch(store);
		const { ticket } = await before.runtime.admit("k", { runId: "R" });
		await store.crash();
		const host = await watch(store);
		const { runtime } = host;
		expect(await agree(host, "k")).toMatchObject({
			status: "ended",
			lastOutcome: "interrupted",
		});
		const next = await runtime.admit("k", { runId: "next" });
		const live = await agree(host, "k");
		expect(await runtime.report({ ...ticket, phase: "end" })).toMatchObject({
			verdict: "duplicate",
			ticket,
			row: live,
		});
		expect(await agree(host, "k")).toEqual(live);
		await next.end();
		expect(await agree(host, "k")).toMatchObject({ hasActiveRun: false });
	});

	test("VD-11 who addresses a session as it moves on reaches what it is by then, by key and by a session id of before", async () => {
		for (const moves of ["reset", "delete", "rotate"] as const) {
			const store = new FaultyStore(makeStore());
			const host = await watch(store);
			const { runtime, scripted } = host;
			await runtime.send("k", "A");
			const { run, end } = scripted.last;
			const { sessionId } = run.ticket;
			// The move is decided, and its commit takes its time.
			const { promise, resolve } = Promise.withResolvers<void>();
			store.beforeCommit = () => promise;
			const moved =
				moves === "rotate"
					? run.rotate()
					: Promise.resolve(runtime[moves]("k"));
			const signal = runtime.send("k", "signal", { messageId: "signal" });
			const patched = runtime.patch("k", { seen: true });
			await turns();
			store.beforeCommit = null;
			resolve();
			await turns();
			expect(await now(signal), moves).toMatchObject({
				disposition: "queued",
			});
			const generation = moves === "rotate" ? 1 : 2;
			expect(await patched).toMatchObject({
				result: "done",
				row: { generation },
			});
			if (moves === "rotate")
				expect(
					await runtime.abort("nobody", { expect: { sessionId } }),
				).toMatchObject({ result: "stale" });
			end();
			await moved;
			await turns();
			// Session ids of one generation all name it, also after it moved on.
			expect(scripted.last.run).toMatchObject({
				messages: [{ messageId: "signal" }],
				ticket: { generation },
			});
			if (moves === "rotate")
				expect(
					await now(runtime.patch("k", { by: "S" }, { expect: { sessionId } })),
				).toMatchObject({ result: "done" });
			scripted.last.end();
			expect(await (await signal).settled).toMatchObject({
				outcome: "completed",
			});
			expect(await agree(host, "k")).toMatchObject({
				generation,
				status: "ended",
				meta: { seen: true },
			});
		}
	});

	test("VD-11 who addresses a session as it leaves memory reaches it", async () => {
		const host = await start({ passivateAfterMs: minute });
		const { runtime, scripted, clock } = host;
		for (let turn = 1; turn <= 5; turn++) {
			const sent: ReturnType<typeof runtime.send>[] = [];
			// In the very moment in which it goes, before it and after it.
			for (const ms of [-1, 0, 1])
				clock.setTimeout(() => {
					sent.push(runtime.send("k", `${turn} ${ms}`));
				}, minute + ms);
			await clock.advance(2 * minute);
			for (const { settled } of await Promise.all(sent)) {
				scripted.last.end();
				expect(await settled).toMatchObject({ outcome: "completed" });
				await turns();
			}
		}
		expect(scripted.runs).toHaveLength(15);
		expect(await agree(host, "k")).toMatchObject({ generation: 1, queued: 0 });
	});

	test("VD-13 what a dead owner had begun to tear down is torn down by the next, whose session it then is", async () => {
		for (const died of ["at once", "again over it"]) {
			const store = new CrashingStore(makeStore());
			let calls = 0;
			const tearDown = Promise.withResolvers<void>();
			const options: Parameters<typeof watch>[1] = {
				graceMs: minute,
				onGenerationEnded: () => {
					calls += 1;
					return calls < (died === "at once" ? 2 : 3)
						? new Promise<void>(() => {})
						: tearDown.promise;
				},
			};
			const owner = await watch(store, options);
			const lease = await owner.runtime.admit("leased", { leaseMs: minute });
			await owner.runtime.send("k", "turn");
			void codeOf(owner.runtime.reset("k"));
			await turns();
			await store.crash();
			let host = await watch(store, options);
			if (died === "again over it") {
				await turns();
				await store.crash();
				host = await watch(store, options);
			}
			const { runtime, scripted, clock } = host;
			await turns();
			// Its run is settled, and its teardown goes on here.
			expect(await agree(host, "k")).toMatchObject({
				status: "resetting",
				draining: 0,
			});
			const next = await runtime.send("k", "next");
			expect(next.disposition).toBe("queued");
			tearDown.resolve();
			await turns();
			expect(scripted.last.run.messages).toMatchObject([{ input: "next" }]);
			scripted.last.end();
			expect(await next.settled).toMatchObject({
				outcome: "completed",
				ticket: { generation: 2 },
			});
			// What the dead owner had leased is not a lock that only it could open.
			expect(await agree(host, "leased")).toMatchObject({
				activeRun: lease.ticket,
			});
			await clock.advance(minute);
			expect(await agree(host, "leased")).toMatchObject({
				hasActiveRun: false,
				lastOutcome: "interrupted",
			});
			await (await runtime.admit("leased")).end();
			expect(await agree(host, "leased")).toMatchObject({ status: "ended" });
			expect(await agree(host, "k")).toMatchObject({ status: "ended" });
			expect(calls).toBe(died === "at once" ? 2 : 3);
		}
	});

	test("VD-13 a process that takes over takes over all of it, whoever held it and however they went", async () => {
		const store = makeStore();
		const clock = stillClock();
		for (let life = 1; life <= 3; life++) {
			const host = await watch(store, { clock });
			const { runtime, scripted } = host;
			expect((await runtime.list()).items.map((row) => row.status)).toEqual(
				life === 1 ? [] : ["ended"],
			);
			const { disposition } = await runtime.send("k", life);
			expect(disposition).toBe("started");
			void codeOf(scripted.last.run.waitFor("a person"));
			await turns();
			// It hangs as its process goes, with its wait open.
			await close({ ...host, clock });
		}
		const host = await watch(store, { clock });
		expect(await agree(host, "k")).toMatchObject({
			status: "ended",
			lastOutcome: "abandoned",
			waits: [],
		});
	});
});
