/** `inspect`: what XState's own inspectors see, of committed state alone. */
import { describe, expect, test } from "vitest";
import type { AnyActorRef, InspectionEvent } from "xstate";
import { FaultyStore } from "../../src/testing/faulty-store.ts";
import { turns } from "../../src/testing/virtual-clock.ts";
import { isReplayed } from "../support/replaying.ts";
import { codeOf, startScripted, wrong } from "../support/scripted-host.ts";
import { storeKinds } from "../support/stores.ts";
import { deathsOf } from "../support/unhandled.ts";

/** The ids of the actors that an inspector was told of. */
function actorsIn(events: readonly InspectionEvent[]): string[] {
	return events.flatMap(({ type, actorRef }) =>
		type === "@xstate.actor" ? [(actorRef as AnyActorRef).id] : [],
	);
}

/** `event → state` of each snapshot that an inspector was shown. */
function steps(events: readonly InspectionEvent[]): string[] {
	return events.flatMap((event) => {
		if (event.type !== "@xstate.snapshot") return [];
		const { value } = event.snapshot as { value?: unknown };
		return [`${event.event.type} → ${JSON.stringify(value)}`];
	});
}

for (const [kind, makeStore] of storeKinds)
	describe(`inspect, on ${kind}`, () => {
		const start = (options?: Parameters<typeof startScripted>[1]) =>
			startScripted(makeStore(), options);

		test("shows a session as an actor, and its runs as that actor's child", async () => {
			const { runtime, scripted } = await start();
			const events: InspectionEvent[] = [];
			runtime.inspect((event) => events.push(event));
			const { settled } = await runtime.send("k", "hello");
			scripted.last.end();
			await settled;
			await runtime.reset("k");
			expect(actorsIn(events)).toEqual(["k", "generation 1"]);
			expect(new Set(events.map(({ rootId }) => rootId)).size).toBe(1);
			const seen = steps(events);
			for (const step of [
				'message → "running"',
				'settled → "ended"',
				'reset → "idle"',
				'run.settled → "settled"',
			])
				expect(seen).toContain(step);
			expect(seen.indexOf('message → "running"')).toBeLessThan(
				seen.indexOf('settled → "ended"'),
			);
		});

		// The actor is in memory before anybody looks.
		test.skipIf(isReplayed)(
			"who looks again sees no run of a generation that ended while nobody looked, and the one that began then",
			async () => {
				const { runtime, scripted } = await start();
				const first = runtime.inspect(() => {});
				const { settled } = await runtime.send("k", "hello");
				first.unsubscribe();
				scripted.last.end();
				await settled;
				await runtime.reset("k");
				const actors = () => {
					const events: InspectionEvent[] = [];
					runtime.inspect((event) => events.push(event)).unsubscribe();
					return actorsIn(events);
				};
				expect(actors()).toEqual(["k"]);
				await runtime.send("k", "again");
				expect(actors()).toEqual(["k", "generation 2"]);
				scripted.last.end();
				await runtime.whenIdle();
			},
		);

		// The actor is in memory before anybody looks.
		test.skipIf(isReplayed)(
			"is told of a turn after its commit and before its caller is answered",
			async () => {
				const store = new FaultyStore(makeStore());
				const { runtime } = await startScripted(store);
				await runtime.reset("k");
				const events: InspectionEvent[] = [];
				runtime.inspect({ next: (event) => events.push(event) });
				events.length = 0;
				let before = -1;
				store.beforeCommit = async () => {
					await turns();
					before = events.length;
				};
				await runtime.patch("k", { a: 1 });
				expect(before).toBe(0);
				expect(steps(events)).toEqual(['patch → "idle"']);
			},
		);

		test("is told nothing of a turn whose commit fails", async () => {
			const store = new FaultyStore(makeStore());
			const { runtime } = await startScripted(store);
			await runtime.reset("k");
			const events: InspectionEvent[] = [];
			runtime.inspect((event) => events.push(event));
			store.faults.push("before", "before");
			expect(await codeOf(runtime.send("k", "hello"))).toBe("STORE_FAILED");
			await turns();
			expect(JSON.stringify(steps(events))).not.toContain("running");
			await runtime.send("k", "again");
			expect(steps(events)).toContain('message → "running"');
		});

		// The actors are in memory before anybody looks.
		test.skipIf(isReplayed)(
			"one that starts to look is told of the actors that are there, and another of nothing again",
			async () => {
				const { runtime } = await start();
				await runtime.send("a", 1);
				await runtime.reset("b");
				const first: InspectionEvent[] = [];
				runtime.inspect((event) => first.push(event));
				expect(actorsIn(first).sort()).toEqual(["a", "b", "generation 1"]);
				expect(steps(first)).toContain('xstate.init → "running"');
				expect(steps(first)).toContain('xstate.init → "idle"');
				const count = first.length;
				const second: InspectionEvent[] = [];
				runtime.inspect((event) => second.push(event));
				expect(second).toHaveLength(count);
				expect(first).toHaveLength(count);
			},
		);

		test("is told of a session that comes back to memory", async () => {
			const { runtime, clock } = await start({ passivateAfterMs: 10 });
			await runtime.reset("k");
			await clock.advance(10);
			const events: InspectionEvent[] = [];
			runtime.inspect((event) => events.push(event));
			expect(events).toEqual([]);
			await runtime.patch("k", { a: 1 });
			expect(steps(events)).toEqual(['xstate.init → "idle"', 'patch → "idle"']);
		});

		test("one that throws disturbs nobody", async () => {
			const logged: string[] = [];
			const { runtime } = await start({
				logger: {
					debug() {},
					info() {},
					warn() {},
					error: (_, message) => logged.push(message ?? ""),
				},
			});
			runtime.inspect(() => {
				throw new Error("inspector broke");
			});
			const events: InspectionEvent[] = [];
			runtime.inspect((event) => events.push(event));
			const dead = await deathsOf(async () => {
				expect(await runtime.reset("k")).toMatchObject({ result: "done" });
			});
			expect(dead).toEqual([]);
			expect(events.length).toBeGreaterThan(0);
			expect(logged[0]).toContain("inspector broke");
		});

		test("one that has stopped looking is told no more, also when it stops in the middle", async () => {
			const { runtime } = await start();
			const events: InspectionEvent[] = [];
			const subscription = runtime.inspect((event) => events.push(event));
			await runtime.reset("k");
			const count = events.length;
			subscription.unsubscribe();
			subscription.unsubscribe();
			await runtime.patch("k", { a: 1 });
			expect(events).toHaveLength(count);
		});

		test("one that looks at one session is told of that alone, and who looks at all of all", async () => {
			const { runtime } = await start();
			await runtime.reset("k");
			const one: InspectionEvent[] = [];
			const all: InspectionEvent[] = [];
			const looking = runtime.inspect((event) => one.push(event), {
				sessionKey: "k",
			});
			expect(actorsIn(one)).toEqual(isReplayed ? [] : ["k"]);
			await runtime.reset("other");
			const everybody = runtime.inspect((event) => all.push(event), {});
			await runtime.send("other", 1);
			await runtime.send("k", 1);
			everybody.unsubscribe();
			await runtime.patch("k", { a: 1 });
			expect(new Set(actorsIn(one))).toEqual(new Set(["k", "generation 1"]));
			expect(steps(one)).toEqual(
				expect.arrayContaining(['message → "running"', 'patch → "running"']),
			);
			expect(actorsIn(all)).toEqual(expect.arrayContaining(["k", "other"]));
			expect(steps(all)).not.toContain('patch → "running"');
			looking.unsubscribe();
			const count = one.length;
			await runtime.patch("k", { a: 2 });
			expect(one).toHaveLength(count);
		});

		test("is told of a session that is first used after it began to look", async () => {
			const { runtime } = await start();
			const events: InspectionEvent[] = [];
			runtime.inspect((event) => events.push(event), { sessionKey: "k" });
			await runtime.reset("other");
			expect(events).toEqual([]);
			await runtime.send("k", 1);
			expect(steps(events)).toEqual(
				expect.arrayContaining(['xstate.init → "idle"', 'message → "running"']),
			);
		});

		test("takes no session key that cannot be", async () => {
			const { runtime } = await start();
			for (const options of [{ sessionKey: "" }, { sessionKey: 5 }, 7, null])
				expect(() => runtime.inspect(() => {}, wrong(options))).toThrow(
					expect.objectContaining({ code: "INVALID_ARGUMENT" }),
				);
		});

		test("takes nothing but a function or an observer", async () => {
			const { runtime } = await start();
			for (const observer of [undefined, null, 5, "next", {}])
				expect(() => runtime.inspect(wrong(observer))).toThrow(
					expect.objectContaining({ code: "INVALID_ARGUMENT" }),
				);
		});
	});
