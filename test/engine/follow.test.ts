/** `follow` and `Run.progress`: what runs say while they run, for those who look on. */
import type {
	JsonValue,
	ProgressItem,
	RunTicket,
	RuntimeOptions,
} from "turnkeeper";
import { describe, expect, test } from "vitest";
import { CrashingStore } from "../../src/testing/crashing-store.ts";
import { FaultyStore } from "../../src/testing/faulty-store.ts";
import { turns, VirtualClock } from "../../src/testing/virtual-clock.ts";
import { collectGarbage } from "../support/garbage.ts";
import { silent, startHost } from "../support/host.ts";
import { close } from "../support/restart.ts";
import { codeOf, now, startScripted, wrong } from "../support/scripted-host.ts";
import { storeKinds } from "../support/stores.ts";

type Options = Partial<RuntimeOptions<JsonValue, unknown, JsonValue>>;

/** All that comes out of it until it ends. */
async function all(items: AsyncIterable<ProgressItem>) {
	const seen: ProgressItem[] = [];
	for await (const item of items) seen.push(item);
	return seen;
}

/** What comes out of it, as it comes. */
function reading(items: AsyncIterable<ProgressItem>) {
	const seen: ProgressItem[] = [];
	const ended = (async () => {
		for await (const item of items) seen.push(item);
		return "ended";
	})();
	return { seen, ended };
}

const values = (...given: JsonValue[]) =>
	given.map((value, i) => ({ seq: i + 1, value }));

for (const [kind, makeStore] of storeKinds)
	describe(`follow, on ${kind}`, () => {
		const running = async (options: Options = {}) => {
			const host = await startScripted(makeStore(), options);
			await host.runtime.send("k", "hello");
			await turns();
			const { run, end, fail } = host.scripted.last;
			return { ...host, run, end, fail, ticket: run.ticket };
		};

		describe("a reader", () => {
			test("gets every value, numbered from 1, as it comes", async () => {
				const { runtime, run, end, ticket } = await running();
				const { seen, ended } = reading(runtime.follow(ticket));
				run.progress("a");
				await turns();
				expect(seen).toEqual(values("a"));
				run.progress({ b: [1] });
				run.progress(null);
				await turns();
				expect(seen).toEqual(values("a", { b: [1] }, null));
				expect(await now(ended)).toBe("pending");
				end();
				expect(await now(ended)).toBe("ended");
			});

			test("that comes late gets what was said before it came", async () => {
				const { runtime, run, end, ticket } = await running();
				run.progress(1);
				run.progress(2);
				const { seen, ended } = reading(runtime.follow(ticket));
				run.progress(3);
				end();
				await ended;
				expect(seen).toEqual(values(1, 2, 3));
			});

			test("comes back where it left", async () => {
				const { runtime, run, end, ticket } = await running();
				for (let i = 1; i <= 5; i++) run.progress(i);
				for await (const item of runtime.follow(ticket)) {
					expect(item).toEqual({ seq: 1, value: 1 });
					break;
				}
				const back = reading(runtime.follow(ticket, { from: 4 }));
				const ahead = reading(runtime.follow(ticket, { from: 7 }));
				await turns();
				expect(back.seen).toEqual(values(1, 2, 3, 4, 5).slice(3));
				run.progress(6);
				run.progress(7);
				end();
				await Promise.all([back.ended, ahead.ended]);
				expect(back.seen).toEqual(values(1, 2, 3, 4, 5, 6, 7).slice(3));
				expect(ahead.seen).toEqual([{ seq: 7, value: 7 }]);
			});

			test("is one of many, each at its own place", async () => {
				const { runtime, run, end, ticket } = await running();
				const readers = [
					reading(runtime.follow(ticket)),
					reading(runtime.follow(ticket, { from: 2 })),
				];
				run.progress(1);
				await turns();
				readers.push(reading(runtime.follow(ticket)));
				run.progress(2);
				end();
				await Promise.all(readers.map(({ ended }) => ended));
				expect(readers.map(({ seen }) => seen)).toEqual([
					values(1, 2),
					values(1, 2).slice(1),
					values(1, 2),
				]);
			});

			test("that stops early disturbs nobody", async () => {
				const { runtime, run, end, ticket } = await running();
				const other = reading(runtime.follow(ticket));
				run.progress(1);
				for await (const _ of runtime.follow(ticket)) break;
				run.progress(2);
				end();
				await other.ended;
				expect(other.seen).toEqual(values(1, 2));
			});

			test("gets a copy, whatever the run does to its value afterwards", async () => {
				const { runtime, run, end, ticket } = await running();
				const value = { text: "a" };
				run.progress(value);
				value.text = "b";
				end();
				await turns();
				const [first] = await all(runtime.follow(ticket));
				expect(first).toEqual({ seq: 1, value: { text: "a" } });
			});

			test("who changes what it got changes it for nobody else", async () => {
				const { runtime, run, end, ticket } = await running();
				run.progress({ text: "a" });
				end();
				await turns();
				for await (const item of runtime.follow(ticket))
					try {
						if ("value" in item) (item.value as { text: string }).text = "b";
					} catch {}
				expect(await all(runtime.follow(ticket))).toEqual(
					values({ text: "a" }),
				);
			});
		});

		describe("what is kept", () => {
			test("is the newest thousand; the gap before them is said once", async () => {
				const { runtime, run, end, ticket } = await running();
				for (let i = 1; i <= 3500; i++) run.progress(i);
				end();
				await turns();
				const [gap, ...rest] = await all(runtime.follow(ticket));
				expect(gap).toEqual({ gap: { from: 1, to: 2500 } });
				expect(rest).toEqual(
					Array.from({ length: 1000 }, (_, i) => ({
						seq: i + 2501,
						value: i + 2501,
					})),
				);
			});

			test("a gap begins where the reader is", async () => {
				const { runtime, run, end, ticket } = await running();
				for (let i = 1; i <= 1500; i++) run.progress(i);
				end();
				await turns();
				const from = async (seq: number) =>
					(await all(runtime.follow(ticket, { from: seq })))[0];
				expect(await from(400)).toEqual({ gap: { from: 400, to: 500 } });
				expect(await from(500)).toEqual({ gap: { from: 500, to: 500 } });
				expect(await from(501)).toEqual({ seq: 501, value: 501 });
			});

			test("a slow reader is told what it missed, and goes on from there", async () => {
				const { runtime, run, end, ticket } = await running();
				const items = runtime.follow(ticket)[Symbol.asyncIterator]();
				run.progress(1);
				expect((await items.next()).value).toEqual({ seq: 1, value: 1 });
				for (let i = 2; i <= 2100; i++) run.progress(i);
				expect((await items.next()).value).toEqual({
					gap: { from: 2, to: 1100 },
				});
				expect((await items.next()).value).toEqual({ seq: 1101, value: 1101 });
				end();
				await turns();
				expect((await items.next()).value).toEqual({ seq: 1102, value: 1102 });
			});

			test("nothing goes unsaid, also what goes while a reader looks at a gap", async () => {
				const { runtime, run, end, ticket } = await running();
				for (let i = 1; i <= 1500; i++) run.progress(i);
				const items = runtime.follow(ticket)[Symbol.asyncIterator]();
				const seen: ProgressItem[] = [(await items.next()).value];
				for (let i = 1501; i <= 1700; i++) run.progress(i);
				end();
				await turns();
				for await (const item of { [Symbol.asyncIterator]: () => items })
					seen.push(item);
				expect(seen.slice(0, 3)).toEqual([
					{ gap: { from: 1, to: 500 } },
					{ gap: { from: 501, to: 700 } },
					{ seq: 701, value: 701 },
				]);
				expect(seen.length).toBe(1002);
			});

			test("of a run that ended is kept for a minute", async () => {
				const { runtime, clock, run, end, ticket } = await running();
				run.progress("last words");
				end();
				await turns();
				await clock.advance(59_999);
				expect(await all(runtime.follow(ticket))).toEqual(values("last words"));
				await clock.advance(1);
				expect(await all(runtime.follow(ticket))).toEqual([]);
			});

			test("what a run says after its end is not", async () => {
				const { runtime, run, end, ticket } = await running();
				run.progress(1);
				end();
				await turns();
				run.progress(2);
				expect(await all(runtime.follow(ticket))).toEqual(values(1));
			});

			test("is neither in the feed nor in the store, and costs no commit", async () => {
				const store = new FaultyStore(makeStore());
				const host = await startScripted(store);
				const { runtime, feed, scripted } = host;
				await runtime.send("k", "hello");
				const run = await runtime.admit("h", { runId: "R" });
				await turns();
				const [events, commits] = [feed.length, store.commits];
				scripted.last.run.progress("secret");
				run.progress("secret");
				await runtime.report({
					runId: "R",
					phase: "progress",
					value: "secret",
				});
				await turns();
				expect(feed.length).toBe(events);
				expect(store.commits).toBe(commits);
				expect((await runtime.transcript("k")).items).toEqual([]);
				expect((await runtime.refusals()).items).toEqual([]);
			});
		});

		describe("ends", () => {
			const ends: Record<
				string,
				(host: Awaited<ReturnType<typeof running>>) => unknown
			> = {
				"when the run completes": ({ end }) => end(),
				"when it fails": ({ fail }) => fail("no"),
				"when it is aborted": async ({ runtime, end }) => {
					void runtime.abort("k");
					await turns();
					end();
				},
				"when its session is reset": async ({ runtime, end }) => {
					void runtime.reset("k");
					await turns();
					end();
				},
				"when its session is deleted and purged": async ({ runtime, end }) => {
					void runtime.delete("k", { purge: true });
					await turns();
					end();
				},
				"when it is abandoned": async ({ runtime, clock }) => {
					void runtime.reset("k", { graceMs: 10 });
					await clock.advance(10);
				},
				"when the runtime closes": async ({ runtime, clock }) => {
					void runtime.close({ graceMs: 10 });
					await clock.advance(10);
				},
			};
			for (const [name, end] of Object.entries(ends))
				test(name, async () => {
					const host = await running();
					const { seen, ended } = reading(host.runtime.follow(host.ticket));
					host.run.progress(1);
					await end(host);
					expect(await now(ended)).toBe("ended");
					expect(seen).toEqual(values(1));
				});

			test("for readers of a run that never said a thing", async () => {
				const { runtime, end, ticket } = await running();
				const { ended } = reading(runtime.follow(ticket));
				await turns();
				end();
				expect(await now(ended)).toBe("ended");
			});

			test("when a lease is over", async () => {
				const { runtime, clock } = await startHost(makeStore());
				const run = await runtime.admit("k", { leaseMs: 1000 });
				const { ended } = reading(runtime.follow(run.ticket));
				await clock.advance(1000);
				expect(await now(ended)).toBe("ended");
			});

			test("when the store was taken over by somebody else", async () => {
				const store = new FaultyStore(makeStore());
				const host = await startScripted(store);
				await host.runtime.send("k", "hello");
				await turns();
				const { ended } = reading(
					host.runtime.follow(host.scripted.last.run.ticket),
				);
				await turns();
				const { opened } = store;
				if (!opened) throw new Error("not open");
				opened.version = async () => 99;
				store.faults.push("before");
				await codeOf(host.runtime.patch("k", { a: 1 }));
				expect(await now(ended)).toBe("ended");
			});

			test("with the signal, at once or later, and without an error", async () => {
				const { runtime, run, ticket } = await running();
				const stop = new AbortController();
				const { seen, ended } = reading(
					runtime.follow(ticket, { signal: stop.signal }),
				);
				run.progress(1);
				await turns();
				expect(await now(ended)).toBe("pending");
				stop.abort();
				expect(await now(ended)).toBe("ended");
				run.progress(2);
				expect(seen).toEqual(values(1));
				expect(
					await now(all(runtime.follow(ticket, { signal: stop.signal }))),
				).toEqual([]);
			});

			test("with the signal, and nothing of such a reader is kept", async () => {
				const { runtime, run, ticket } = await running();
				const read = async () => {
					const stop = new AbortController();
					const { ended } = reading(
						runtime.follow(ticket, { signal: stop.signal }),
					);
					await turns();
					stop.abort();
					await ended;
					return new WeakRef(stop.signal);
				};
				const gone = await read();
				await turns();
				collectGarbage();
				expect(gone.deref()).toBeUndefined();
				run.progress(1);
			});

			test("not with the first attempt for a reader of the second", async () => {
				const store = new CrashingStore(makeStore());
				const retry = { mode: "retry", maxAttempts: 2 } as const;
				const first = await startScripted(store, { recovery: retry });
				await first.runtime.send("k", "hello");
				await turns();
				const { ticket } = first.scripted.last.run;
				first.scripted.last.run.progress("old");
				await store.crash();
				const next = await startScripted(store, { recovery: retry });
				await turns();
				const { run, end } = next.scripted.last;
				run.progress("new");
				end();
				await turns();
				expect(await all(next.runtime.follow(ticket))).toEqual([]);
				expect(
					await all(next.runtime.follow({ ...ticket, attempt: 2 })),
				).toEqual(values("new"));
			});
		});

		describe("a ticket", () => {
			test("that nobody knows ends at once", async () => {
				const { runtime, ticket, run } = await running();
				run.progress(1);
				for (const other of [
					{ ...ticket, runId: "gone" },
					{ ...ticket, sessionKey: "other" },
					{ ...ticket, generation: 2 },
					{ ...ticket, attempt: 2 },
				])
					expect(await now(all(runtime.follow(other)))).toEqual([]);
			});

			test("of before a rotation is the same run's", async () => {
				const { runtime, run, end, ticket } = await running();
				run.progress(1);
				await run.rotate();
				run.progress(2);
				end();
				await turns();
				expect(await all(runtime.follow(ticket))).toEqual(values(1, 2));
				expect(await all(runtime.follow(run.ticket))).toEqual(values(1, 2));
			});

			test("of a reservation has nothing to follow before its start", async () => {
				const { runtime } = await startHost(makeStore());
				const run = await runtime.admit("k", { reserve: true });
				expect(await now(all(runtime.follow(run.ticket)))).toEqual([]);
				await run.start();
				const { seen, ended } = reading(runtime.follow(run.ticket));
				run.progress(1);
				await run.end();
				await ended;
				expect(seen).toEqual(values(1));
			});
		});

		const bad: Record<string, [unknown, unknown?]> = {
			"no ticket": [undefined],
			"a run id": ["R"],
			"half a ticket": [{ runId: "R", sessionKey: "k" }],
			"from 0": ["good", { from: 0 }],
			"from 1.5": ["good", { from: 1.5 }],
			"from a string": ["good", { from: "1" }],
			"a signal that is none": ["good", { signal: {} }],
		};
		for (const [name, [ticket, options]] of Object.entries(bad))
			test(`${name} is refused at the call`, async () => {
				const host = await running();
				const given = ticket === "good" ? host.ticket : ticket;
				let code: unknown = null;
				try {
					host.runtime.follow(wrong(given) as RunTicket, wrong(options));
				} catch (error) {
					({ code } = error as { code: unknown });
				}
				expect(code).toBe("INVALID_ARGUMENT");
			});

		test("is refused before the start and after the close", async () => {
			const host = await running();
			await close(host);
			expect(() => host.runtime.follow(host.ticket)).toThrow(
				expect.objectContaining({ code: "RUNTIME_CLOSED" }),
			);
		});

		describe("progress", () => {
			const junk: Record<string, unknown> = {
				undefined: undefined,
				"a function": () => {},
				"a date": new Date(0),
				NaN: Number.NaN,
				"a bigint": 1n,
				"something deep inside": { a: [{ b: Symbol("x") }] },
				"what throws when it is looked at": {
					get a() {
						throw new Error("no");
					},
				},
			};
			for (const [name, value] of Object.entries(junk))
				test(`of ${name} is dropped and logged, and throws nothing`, async () => {
					const warned: unknown[] = [];
					const { runtime, run, end, ticket } = await running({
						logger: {
							...silent,
							warn: (_: unknown, message?: string) => warned.push(message),
						},
					});
					expect(run.progress(wrong(value))).toBeUndefined();
					run.progress("fine");
					end();
					await turns();
					expect(await all(runtime.follow(ticket))).toEqual(values("fine"));
					expect(warned).toEqual([expect.stringContaining("not JSON")]);
				});

			test("of what contains itself is dropped too", async () => {
				const { runtime, run, end, ticket } = await running();
				const loop: Record<string, unknown> = {};
				loop.self = loop;
				expect(run.progress(wrong(loop))).toBeUndefined();
				end();
				await turns();
				expect(await all(runtime.follow(ticket))).toEqual([]);
			});
		});

		describe("a report of progress", () => {
			const admitted = async () => {
				const host = await startHost(makeStore());
				const run = await host.runtime.admit("k", { runId: "R" });
				return { ...host, run };
			};
			const R = { runId: "R", phase: "progress" } as const;

			test("of a live run is applied, changes nothing, and reaches those who follow it", async () => {
				const { runtime, run } = await admitted();
				const { seen, ended } = reading(runtime.follow(run.ticket));
				const row = await runtime.get("k");
				expect(await runtime.report({ ...R, value: { a: 1 } })).toMatchObject({
					verdict: "applied",
					ticket: run.ticket,
					row,
				});
				expect(await runtime.report(R)).toMatchObject({ verdict: "applied" });
				expect(await runtime.get("k")).toEqual(row);
				await run.end();
				await ended;
				expect(seen).toEqual(values({ a: 1 }, null));
			});

			test("keeps the order of the reports, without and with a key", async () => {
				const { runtime, run } = await admitted();
				const { seen, ended } = reading(runtime.follow(run.ticket));
				await Promise.all([
					...[1, 2, 3].map((value) =>
						runtime.report({ ...R, sessionKey: "k", value }),
					),
				]);
				await runtime.report({ runId: "R", phase: "end" });
				await ended;
				expect(seen).toEqual(values(1, 2, 3));
			});

			const refused: Record<
				string,
				[
					string,
					(
						host: Awaited<ReturnType<typeof admitted>>,
					) => Promise<Record<string, unknown>>,
				]
			> = {
				"of a reserved run is refused": [
					"refused",
					async ({ runtime }) => {
						await runtime.admit("k", { runId: "Q", reserve: true });
						return { runId: "Q" };
					},
				],
				"of a run that was told to stop is refused": [
					"refused",
					async ({ runtime }) => {
						void runtime.abort("k");
						await turns();
						return {};
					},
				],
				"of a run that drains is refused": [
					"refused",
					async ({ runtime }) => {
						void runtime.reset("k");
						await turns();
						return {};
					},
				],
				"of a run that settled is a duplicate": [
					"duplicate",
					async ({ run }) => {
						await run.end();
						return {};
					},
				],
				"of a run that nobody knows is unknown": [
					"unknown",
					async () => ({ runId: "gone" }),
				],
				"of a run that nobody knows on that key is unknown": [
					"unknown",
					async () => ({ runId: "gone", sessionKey: "k" }),
				],
				"of another attempt is refused": [
					"refused",
					async () => ({ attempt: 2 }),
				],
				"that is not JSON is refused": [
					"refused",
					async () => ({ value: () => {} }),
				],
			};
			for (const [name, [verdict, prepare]] of Object.entries(refused))
				test(`${name}, and filed`, async () => {
					const host = await admitted();
					const more = await prepare(host);
					const { seen } = reading(host.runtime.follow(host.run.ticket));
					expect(
						await host.runtime.report(wrong({ ...R, value: 1, ...more })),
					).toMatchObject({ verdict });
					const { items } = await host.runtime.refusals();
					expect(items).toMatchObject([{ verdict }]);
					expect(JSON.stringify(items[0]?.report)).toContain("progress");
					await turns();
					expect(seen).toEqual([]);
				});

			test("of a managed run is refused: it speaks for itself", async () => {
				const { runtime, ticket } = await running();
				expect(
					await runtime.report({ ...ticket, phase: "progress", value: 1 }),
				).toMatchObject({ verdict: "refused" });
				expect((await runtime.refusals()).items).toMatchObject([
					{ verdict: "refused", report: { value: 1 } },
				]);
			});

			test("reaches readers after a restart, if the run has a lease", async () => {
				const store = new CrashingStore(makeStore());
				const host = await startHost(store);
				await host.runtime.admit("k", { runId: "R", leaseMs: 60_000 });
				await store.crash();
				const { runtime } = await startHost(store, {
					clock: new VirtualClock(host.clock.now()),
				});
				const ticket = (await runtime.get("k"))?.activeRun as RunTicket;
				const { seen, ended } = reading(runtime.follow(ticket));
				await runtime.report({ ...R, value: "still here" });
				await runtime.report({ runId: "R", phase: "end" });
				await ended;
				expect(seen).toEqual(values("still here"));
			});
		});
	});
