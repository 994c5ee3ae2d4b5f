/** Scenarios of category PR: what is shown of a session differs from what is kept of it. */
import type { JsonValue, RuntimeEvent, SessionRow } from "turnkeeper";
import { expect, test } from "vitest";
import { CrashingStore } from "../../src/testing/crashing-store.ts";
import { FaultyStore } from "../../src/testing/faulty-store.ts";
import { codeOf, now } from "../support/scripted-host.ts";
import { turns } from "../support/turns.ts";
import { agree, scenarios, watch } from "./scenario.ts";

const minute = 60_000;

/** What somebody who has the feed and nothing else makes of it: rows by key. */
function folded(feed: readonly RuntimeEvent[]): SessionRow[] {
	const rows = new Map<string, SessionRow>();
	for (const event of feed) {
		if (event.type === "row") rows.set(event.row.sessionKey, event.row);
		if (event.type === "deleted") rows.delete(event.sessionKey);
	}
	return [...rows.values()].sort((a, b) =>
		a.sessionKey < b.sessionKey ? -1 : 1,
	);
}

scenarios(
	"PR, what is shown differs from what is kept",
	({ makeStore, start }) => {
		test("PR-01 what a late event says is shown to nobody as the session's, by whichever way they look", async () => {
			const host = await start();
			const { runtime } = host;
			const run = await runtime.admit("k", { runId: "R1" });
			await run.start();
			const reset = runtime.reset("k");
			await turns();
			const seen = host.feed.length;
			const before = await agree(host, "k");
			expect(
				await runtime.report({ runId: "R1", phase: "error", error: "broke" }),
			).toMatchObject({ verdict: "archived", row: { generation: 2 } });
			await reset;
			for (const phase of ["start", "end"] as const)
				await runtime.report({ runId: "R1", phase });
			// Of what was heard, the row shows that its predecessor has drained.
			const told = host.feed.slice(seen);
			expect(
				told.flatMap((event) => (event.type === "row" ? [event.row] : [])),
			).toEqual([
				{
					...before,
					status: "idle",
					draining: 0,
					version: (before?.version ?? 0) + 1,
				},
			]);
			expect(
				told.flatMap((event) =>
					event.type === "refusal" ? [event.refusal.verdict] : [],
				),
			).toEqual(["archived", "duplicate", "duplicate"]);
			expect(folded(host.feed)).toEqual([await agree(host, "k")]);
		});

		test("PR-02 no row says at once that a run is live and that it is not, however that run came and went", async () => {
			const host = await start({ graceMs: minute });
			const { runtime, scripted, clock } = host;
			await runtime.admit("k", { runId: "reserved", reserve: true });
			// Its start was missed: the end is the first that is heard of it.
			await runtime.report({ runId: "reserved", phase: "end" });
			const wrong = { runId: "nobody", sessionKey: "k", phase: "end" } as const;
			expect(await runtime.report(wrong)).toMatchObject({ verdict: "unknown" });
			await (await runtime.admit("k")).fail("broke");
			await runtime.send("k", "one");
			void codeOf(scripted.last.run.waitFor("approve"));
			await turns();
			const aborted = runtime.abort("k");
			await turns();
			await runtime.report({ ...wrong, runId: "reserved" });
			scripted.last.end();
			await aborted;
			await runtime.send("k", "two");
			const reset = runtime.reset("k");
			await clock.advance(minute);
			await reset;
			await (await runtime.admit("k"))[Symbol.asyncDispose]();
			await agree(host, "k");
			const rows = host.feed.flatMap((event) =>
				event.type === "row" ? [event.row] : [],
			);
			expect(rows.length).toBeGreaterThan(10);
			for (const row of rows) {
				const isLive = row.status === "running" || row.status === "waiting";
				expect(row).toMatchObject({
					hasActiveRun: isLive,
					activeRun: isLive ? { generation: row.generation } : null,
				});
				expect(row.waits.length > 0).toBe(row.status === "waiting");
				if (isLive) expect(row.endedAt).toBeNull();
			}
		});

		test("PR-04 who folds the feed has at every moment the list that a reader gets", async () => {
			const host = await start();
			const { runtime, scripted } = host;
			const steps: (() => Promise<unknown>)[] = [
				() => runtime.send("a", "turn"),
				() => runtime.send("b", "turn"),
				async () => scripted.last.end(),
				() => runtime.patch("b", { title: "t" }),
				() => runtime.send("a", "waits"),
				async () => scripted.runs[0]?.end(),
				async () => void codeOf(runtime.reset("a")),
				() => runtime.delete("b"),
				async () => scripted.runs[2]?.fail(new Error("broke")),
				() => runtime.reset("b"),
				() => runtime.import([{ sessionKey: "c", sessionId: "c" }]),
				() => runtime.delete("c", { purge: true }),
			];
			for (const [i, step] of steps.entries()) {
				await step();
				await turns();
				expect(folded(host.feed), `${i}`).toEqual((await runtime.list()).items);
			}
			for (const key of ["a", "b", "c"]) await agree(host, key);
		});

		test("PR-05 a row that has ended has nothing after its end in its transcript, and takes the next message, also after a crash", async () => {
			for (const lost of ["nothing", "the entry", "the end"]) {
				const faulty = new FaultyStore(makeStore());
				const store = new CrashingStore(faulty);
				const before = await watch(store);
				await before.runtime.send("k", "turn");
				const { run, end } = before.scripted.last;
				await run.append("first");
				// The process dies over one of its commits.
				const dead = new Promise<void>(() => {});
				if (lost === "the entry") faulty.beforeCommit = () => dead;
				const last = codeOf(run.append("last"));
				await turns();
				if (lost === "the end") faulty.beforeCommit = () => dead;
				end();
				await turns();
				if (lost === "nothing")
					expect(await codeOf(run.append("late"))).toBe("STALE_RUN");
				faulty.beforeCommit = null;
				await store.crash();
				const host = await watch(store);
				const row = await agree(host, "k");
				expect(row, lost).toMatchObject({
					status: "ended",
					lastOutcome: lost === "nothing" ? "completed" : "interrupted",
				});
				const { items } = await host.runtime.transcript("k");
				expect(items.map(({ entry }) => entry)).toEqual(
					lost === "the entry" ? ["first"] : ["last", "first"],
				);
				expect(await now(last)).toEqual(
					lost === "the entry" ? "pending" : { resolved: undefined },
				);
				const { disposition } = await host.runtime.send("k", "next");
				expect(disposition).toBe("started");
				host.scripted.last.end();
				await host.runtime.whenIdle("k");
				await agree(host, "k");
			}
		});

		test("PR-07 who has not heard what became of a call asks again by its id, and nothing is done twice", async () => {
			const store = new FaultyStore(makeStore());
			const host = await watch(store);
			const { runtime, scripted } = host;
			/** The commit holds, and its answer is lost on the way. */
			const unheard = async (call: () => Promise<unknown>) => {
				await call();
				return call();
			};
			expect(
				await unheard(() => runtime.send("k", "hello", { messageId: "m" })),
			).toMatchObject({ disposition: "duplicate", ticket: { attempt: 1 } });
			scripted.last.end();
			await runtime.whenIdle("k");
			expect(
				await unheard(() => runtime.reset("k", { messageId: "/new" })),
			).toMatchObject({ result: "nothing", row: { generation: 2 } });
			expect(
				await unheard(() => runtime.admit("k", { runId: "R" })),
			).toMatchObject({ ticket: { attempt: 1 } });
			expect(
				await unheard(() => runtime.report({ runId: "R", phase: "end" })),
			).toMatchObject({ verdict: "duplicate" });
			const patch = { expect: { generation: 2 } };
			expect(
				await unheard(() => runtime.patch("k", { title: "t" }, patch)),
			).toMatchObject({ row: { meta: { title: "t" } } });
			expect(
				await unheard(() => runtime.delete("k", { expect: { generation: 2 } })),
			).toMatchObject({ result: "stale" });
			expect(await runtime.delete("k")).toMatchObject({ result: "nothing" });
			// Nor where the store itself has lost the answer to a commit that holds.
			store.faults.push("after");
			const sent = await runtime.send("k", "again", { messageId: "m2" });
			expect(sent.disposition).toBe("started");
			expect(
				await runtime.send("k", "again", { messageId: "m2" }),
			).toMatchObject({ disposition: "duplicate" });
			scripted.last.end();
			await sent.settled;
			expect(scripted.runs).toHaveLength(2);
			expect((await runtime.runs("k")).items).toHaveLength(3);
			expect(await agree(host, "k")).toMatchObject({ generation: 3 });
		});

		test("PR-08 a session id that two sessions share says nothing of the one by the run of the other", async () => {
			const [x, y] = [await start(), await start()];
			const stores = [x, y];
			for (const { runtime } of stores)
				for (const key of ["one", "two"])
					await runtime.reset(key, { sessionId: "s" });
			const run = await x.runtime.admit("one", { runId: "R" });
			const shown = async () =>
				Promise.all(
					stores.flatMap((host) =>
						["one", "two"].map(
							async (key) => (await agree(host, key))?.hasActiveRun,
						),
					),
				);
			expect(await shown()).toEqual([true, false, false, false]);
			// A report by the session id finds the run that has it, and no other session.
			expect(
				await x.runtime.report({
					sessionKey: "two",
					sessionId: "s",
					runId: "R",
					phase: "end",
				}),
			).not.toMatchObject({ verdict: "applied" });
			expect(
				await y.runtime.report({ sessionId: "s", runId: "R", phase: "end" }),
			).toMatchObject({ verdict: "unknown" });
			expect(await x.runtime.abort("two")).toMatchObject({ result: "nothing" });
			expect(await shown()).toEqual([true, false, false, false]);
			// Two runs of one id and one session id: it takes the key to tell them apart.
			const other = await x.runtime.admit("two", { runId: "R" });
			expect(
				await x.runtime.report({ sessionId: "s", runId: "R", phase: "end" }),
			).toMatchObject({ verdict: "refused" });
			await run.end();
			expect(await shown()).toEqual([false, true, false, false]);
			await other.end();
			expect(await shown()).toEqual([false, false, false, false]);
		});

		test("PR-10 whoever learns that a run has ended finds it ended, by whichever way they learn it", async () => {
			const host = await start();
			const { runtime, scripted } = host;
			for (let turn = 0; turn < 3; turn++) {
				const learned: Record<string, string | undefined> = {};
				const learns = (way: string) => async () => {
					learned[way] = (await runtime.get("k"))?.status;
				};
				const { ticket, settled } = await runtime.send("k", turn);
				if (!ticket) throw new Error("it did not start");
				const ways = [
					settled.then(learns("settled")),
					runtime.whenIdle("k").then(learns("whenIdle")),
					runtime
						.until("k", (row) => row?.status === "ended")
						.then(learns("until")),
					(async () => {
						for await (const _ of runtime.follow(ticket));
						await learns("follow")();
					})(),
					new Promise<void>((resolve) => {
						const looks = runtime.subscribe((event) => {
							if (event.type !== "run" || event.run.outcome === null) return;
							looks.unsubscribe();
							void learns("feed")().then(resolve);
						});
					}),
				];
				await turns();
				scripted.last.run.progress("a token");
				scripted.last.end();
				await Promise.all(ways);
				expect(learned).toEqual({
					settled: "ended",
					whenIdle: "ended",
					until: "ended",
					follow: "ended",
					feed: "ended",
				});
			}
			// The one who drives a run himself, too.
			const run = await runtime.admit("k");
			expect(await run.end()).toMatchObject({ row: { status: "ended" } });
			expect(await agree(host, "k")).toMatchObject({ status: "ended" });
		});

		test("PR-11 a message is under way from its acceptance on, and a client that comes back before the first word finds it", async () => {
			const host = await start();
			const { runtime, scripted } = host;
			await runtime.send("k", "first", { messageId: "first" });
			await runtime.send("k", "second", { messageId: "second" });
			// Not a word of either, and the client comes back with nothing but its ids.
			expect(await agree(host, "k")).toMatchObject({
				hasActiveRun: true,
				queued: 1,
			});
			const first = await runtime.send("k", "first", { messageId: "first" });
			const second = await runtime.send("k", "second", {
				messageId: "second",
			});
			expect(first).toMatchObject({ disposition: "duplicate" });
			expect(second).toMatchObject({ disposition: "duplicate", ticket: null });
			if (!first.ticket) throw new Error("it is not under way");
			const heard: unknown[] = [];
			const reads = (async (ticket) => {
				for await (const item of runtime.follow(ticket)) heard.push(item);
			})(first.ticket);
			await turns();
			scripted.last.run.progress("hel");
			scripted.last.run.progress("lo");
			scripted.last.end("hello");
			await reads;
			expect(heard).toEqual([
				{ seq: 1, value: "hel" },
				{ seq: 2, value: "lo" },
			]);
			expect(await first.settled).toMatchObject({ output: "hello" });
			scripted.last.end("and the second");
			expect(await second.settled).toMatchObject({ output: "and the second" });
			expect(await agree(host, "k")).toMatchObject({ queued: 0 });
		});

		test("PR-13 the result of a turn is its own, also when the next has begun by the time it is read", async () => {
			const host = await start();
			const { runtime, scripted } = host;
			const sent = await Promise.all(
				[1, 2, 3].map((turn) => runtime.send("k", `user ${turn}`)),
			);
			const results: unknown[] = [];
			for (const { settled } of sent)
				void settled.then(async ({ output, ticket }) => {
					// The slot is free, and the next has appended to the end of the log.
					await turns();
					const { items } = await runtime.runs("k");
					const own = items.find(({ runId }) => runId === ticket?.runId);
					results.push([output, own?.messageIds]);
				});
			for (let turn = 1; turn <= 3; turn++) {
				await turns();
				const { run, end } = scripted.last;
				await run.append({ user: turn });
				end(`answer ${turn}`);
			}
			for (let i = 0; i < 4; i++) await turns();
			expect(results).toEqual(
				sent.map(({ messageId }, i) => [`answer ${i + 1}`, [messageId]]),
			);
			await agree(host, "k");
		});

		test("PR-14 a reader of one turn stops at the end of that turn, and has nothing of the one before or after", async () => {
			const host = await start();
			const { runtime, scripted } = host;
			const read: JsonValue[][] = [];
			for (let turn = 1; turn <= 3; turn++) {
				const { ticket, settled } = await runtime.send("k", turn);
				if (!ticket) throw new Error("it did not start");
				const values: JsonValue[] = [];
				read.push(values);
				// It comes back with the cursor that it had in the turn before.
				const reads = (async () => {
					for await (const item of runtime.follow(ticket, { from: 1 }))
						if ("value" in item) values.push(item.value);
				})();
				await turns();
				const { run, end } = scripted.last;
				run.progress(`${turn} one`);
				run.progress(`${turn} two`);
				end(turn);
				await reads;
				expect(await settled).toMatchObject({ output: turn, ticket });
			}
			expect(read).toEqual(
				[1, 2, 3].map((turn) => [`${turn} one`, `${turn} two`]),
			);
			await agree(host, "k");
		});

		test("PR-16 an answer that was read before a delete can be told from one after it by its version, and the key comes back with a higher one", async () => {
			const host = await start();
			const { runtime } = host;
			await runtime.reset("k");
			await runtime.patch("k", { title: "t" });
			// A list and a row that take their time to come to the client.
			const list = await runtime.list();
			const row = await runtime.get("k");
			await runtime.delete("k");
			const deleted = host.feed.findLast((event) => event.type === "deleted");
			if (deleted?.type !== "deleted") throw new Error("it was not told");
			/** What a client holds: the newest version of a key, or that it has gone. */
			const held = new Map([["k", deleted.version]]);
			const takes = (shown: SessionRow) =>
				shown.version > (held.get(shown.sessionKey) ?? 0);
			for (const late of [...list.items, row])
				expect(late && takes(late)).toBe(false);
			expect(await agree(host, "k")).toBeNull();
			await runtime.reset("k", { sessionId: row?.sessionId ?? "" });
			const back = await agree(host, "k");
			expect(back && takes(back)).toBe(true);
			expect(back?.generation).toBeGreaterThan(deleted.generation);
		});

		test("PR-17 what a run has done is kept, whether or not anybody listens", async () => {
			const store = new CrashingStore(makeStore());
			let host = await watch(store);
			const { messageId } = await host.runtime.send("A", "question", {
				messageId: "m",
			});
			const { run, end } = host.scripted.last;
			// They turn to another chat before the first word; nobody follows, nobody holds the receipt.
			await host.runtime.send("B", "elsewhere");
			run.progress("ans");
			run.usage({ outputTokens: 7 });
			await run.append("answer");
			end("answer");
			await host.runtime.whenIdle("A");
			await store.crash();
			host = await watch(store);
			// And come back.
			expect(await agree(host, "A")).toMatchObject({
				status: "ended",
				lastOutcome: "completed",
				outputTokens: 7,
			});
			expect((await host.runtime.transcript("A")).items).toMatchObject([
				{ entry: "answer" },
			]);
			expect((await host.runtime.runs("A")).items).toMatchObject([
				{ messageIds: [messageId], outcome: "completed" },
			]);
			const again = await host.runtime.send("A", "question", { messageId });
			expect(await again.settled).toMatchObject({ outcome: "completed" });
			await agree(host, "B");
		});
	},
);
