/** Overlap policies: who says which one counts, what a function of the host's may do, and what happens when the line is full. */
import {
	createSessionRuntime,
	type JsonValue,
	type Message,
	type OverlapMode,
	type OverlapPolicy,
	type SendReceipt,
	type SessionRow,
} from "turnkeeper";
import { memoryStore } from "turnkeeper/memory";
import { describe, expect, test } from "vitest";
import { turns } from "../../src/testing/virtual-clock.ts";
import {
	codeOf,
	type ScriptedHost,
	startScripted,
	wrong,
} from "../support/scripted-host.ts";
import { storeKinds } from "../support/stores.ts";
import { deathsOf } from "../support/unhandled.ts";

const full = "MAILBOX_FULL";

const nonsense: [what: string, value: unknown][] = [
	["nothing", undefined],
	["null", null],
	["a number", 42],
	["a mode that there is not", "newest"],
	["a policy without a mode", {}],
	["a policy with a mode that there is not", { mode: "newest" }],
	["a negative window", { mode: "collect", debounceMs: -1 }],
	["a window that is no number", { mode: "collect", debounceMs: "800" }],
	["a window that never ends", { mode: "collect", debounceMs: Infinity }],
	["room for nobody", { mode: "enqueue", capacity: 0 }],
	["room for half a message", { mode: "enqueue", capacity: 1.5 }],
	["a way to be full that there is not", { mode: "enqueue", onFull: "drop" }],
];

/** Dispositions, or codes of errors, of several calls in one tick. */
const sendAll = ({ runtime }: ScriptedHost, inputs: readonly JsonValue[]) =>
	Promise.all(
		inputs.map((input) =>
			runtime.send("k", input).then(
				(receipt) => receipt,
				(error) => error.code as string,
			),
		),
	);

const dispositions = (answers: readonly (SendReceipt | string)[]) =>
	answers.map((one) => (typeof one === "string" ? one : one.disposition));

/** Ends one run after the other; what each was given, and what it was given instead of. */
async function runsOf({ scripted }: ScriptedHost, from = 0) {
	for (let i = 0; i < scripted.runs.length; i++) {
		scripted.runs[i]?.end();
		await turns();
	}
	return scripted.runs.slice(from).map(({ run }) => {
		const names = (of: readonly Message<JsonValue>[]) =>
			of.map(({ input }) => input).join("+");
		const past = names(run.skipped);
		return past ? `${names(run.messages)} past ${past}` : names(run.messages);
	});
}

describe("an overlap option that cannot be", () => {
	for (const [what, overlap] of nonsense.filter(([, one]) => one !== undefined))
		test(`${what} is refused when the runtime is made`, () => {
			expect(() =>
				createSessionRuntime({ store: memoryStore(), overlap: wrong(overlap) }),
			).toThrow(
				expect.objectContaining({
					code: "INVALID_ARGUMENT",
					message: expect.stringContaining("options.overlap"),
				}),
			);
		});
});

for (const [kind, makeStore] of storeKinds)
	describe(`overlap policies, on ${kind}`, () => {
		const start = (options?: Parameters<typeof startScripted>[1]) =>
			startScripted(makeStore(), options);

		test("a mode alone is a policy with every default", async () => {
			const host = await start({ overlap: "collect" });
			await sendAll(host, ["m1", "m2", "m3"]);
			expect(await runsOf(host, 1)).toEqual(["m2+m3"]);
		});

		test("a policy counts for all sessions and messages", async () => {
			const host = await start({
				overlap: { mode: "latest", capacity: 7, onFull: "reject" },
			});
			await sendAll(host, ["m1", "m2", "m3"]);
			expect(await runsOf(host, 1)).toEqual(["m3 past m2"]);
		});

		test("a function decides by session and message, at the moment when the message comes", async () => {
			const seen: [SessionRow, Message<JsonValue>][] = [];
			const host = await start({
				overlap: (row, message) => {
					seen.push([row, message]);
					return row.status === "idle" ? "enqueue" : { mode: "collect" };
				},
			});
			const { clock } = host;
			await host.runtime.send("k", "m1", { messageId: "one" });
			await host.runtime.send("k", "m2", { messageId: "two" });
			await host.runtime.send("k", "m3", { messageId: "three" });
			expect(seen.map(([{ status, queued }]) => [status, queued])).toEqual([
				["idle", 0],
				["running", 0],
				["running", 1],
			]);
			expect(seen.map(([, message]) => message)).toEqual([
				{
					messageId: "one",
					input: "m1",
					acceptedAt: clock.now(),
					generation: 1,
				},
				{
					messageId: "two",
					input: "m2",
					acceptedAt: clock.now(),
					generation: 1,
				},
				{
					messageId: "three",
					input: "m3",
					acceptedAt: clock.now(),
					generation: 1,
				},
			]);
			expect(await runsOf(host, 1)).toEqual(["m2+m3"]);
		});

		test("a function sees the session as decided so far, also in a burst", async () => {
			const queued: number[] = [];
			const host = await start({
				overlap: (row) => {
					queued.push(row.queued);
					return "enqueue";
				},
			});
			await sendAll(host, [1, 2, 3, 4]);
			expect(queued).toEqual([0, 0, 1, 2]);
		});

		test("a message's own mode replaces the mode and nothing else of the policy", async () => {
			const host = await start({
				overlap: {
					mode: "enqueue",
					debounceMs: 100,
					capacity: 2,
					onFull: "drop-oldest",
				},
			});
			for (const input of ["m1", "m2", "m3"])
				await host.runtime.send("k", input, { overlap: "collect" });
			expect(host.scripted.runs).toHaveLength(0);
			await host.clock.advance(100);
			expect(await runsOf(host)).toEqual(["m2+m3 past m1"]);
		});

		test("a message's own mode replaces that of a function too", async () => {
			const host = await start({
				overlap: () => ({ mode: "enqueue", capacity: 1 }),
			});
			await host.runtime.send("k", "m1");
			await host.runtime.send("k", "m2");
			expect(
				await codeOf(host.runtime.send("k", "m3", { overlap: "collect" })),
			).toBe("MAILBOX_FULL");
			expect(
				await host.runtime.send("k", "m4", { overlap: "latest" }),
			).toMatchObject({ disposition: "queued" });
			expect(await runsOf(host, 1)).toEqual(["m4 past m2"]);
		});

		test("what a function does to its message is not done to what was accepted", async () => {
			const host = await start({
				overlap: (_, message) => {
					(message.input as { text: string }).text = "changed";
					return "enqueue";
				},
			});
			await host.runtime.send("k", { text: "said" });
			expect(host.scripted.last.run.messages).toMatchObject([
				{ input: { text: "said" } },
			]);
		});

		test("a duplicate is known before any function is asked", async () => {
			let asked = 0;
			const host = await start({
				overlap: () => {
					asked += 1;
					return "enqueue";
				},
			});
			await host.runtime.send("k", "m", { messageId: "one" });
			await host.runtime.send("k", "m", { messageId: "one" });
			expect(asked).toBe(1);
		});

		describe("a function that gives what cannot be", () => {
			const refused: [what: string, overlap: () => unknown, words: string][] = [
				...nonsense.map(
					([what, value]) =>
						[what, () => value, "what options.overlap returned"] as [
							string,
							() => unknown,
							string,
						],
				),
				["a promise", async () => "enqueue", "what options.overlap returned"],
				[
					"an error",
					() => {
						throw new Error("no idea");
					},
					"no idea",
				],
				[
					"something that is no error",
					() => {
						throw undefined;
					},
					"options.overlap threw",
				],
			];
			for (const [what, give, words] of refused)
				for (const reset of [false, true])
					test(`${what}: refuses its message and changes nothing${reset ? ", also not by the reset that comes with it" : ""}`, async () => {
						let isBroken = false;
						const host = await start({
							overlap: () => (isBroken ? wrong(give()) : "enqueue"),
						});
						await sendAll(host, ["m1", "m2"]);
						const before = await host.runtime.get("k");
						const { length } = host.feed;
						isBroken = true;
						await expect(
							host.runtime.send("k", "m3", { messageId: "three", reset }),
						).rejects.toMatchObject({
							code: "INVALID_ARGUMENT",
							message: expect.stringContaining(words),
						});
						expect(await host.runtime.get("k")).toEqual(before);
						expect(host.feed).toHaveLength(length);
						expect(host.scripted.last.run.signal.aborted).toBe(false);
						isBroken = false;
						// Its id was never used.
						await host.runtime.send("k", "other", { messageId: "three" });
						expect(await runsOf(host, 1)).toEqual(["m2", "other"]);
					});

			test("a promise that rejects does not end the process", async () => {
				const host = await start({
					overlap: wrong(async () => {
						throw new Error("no idea");
					}),
				});
				const deaths = await deathsOf(async () => {
					expect(await codeOf(host.runtime.send("k", "m"))).toBe(
						"INVALID_ARGUMENT",
					);
				});
				expect(deaths).toEqual([]);
			});
		});

		describe("a line that is full", () => {
			const table: Record<
				OverlapMode,
				Record<
					NonNullable<OverlapPolicy["onFull"]>,
					{ sent: string[]; runs: string[] }
				>
			> = {
				reject: {
					reject: { sent: Array(4).fill("SESSION_BUSY"), runs: [] },
					"drop-oldest": { sent: Array(4).fill("SESSION_BUSY"), runs: [] },
				},
				enqueue: {
					reject: {
						sent: ["queued", "queued", full, full],
						runs: ["m2", "m3"],
					},
					"drop-oldest": {
						sent: Array(4).fill("queued"),
						runs: ["m4 past m2", "m5 past m3"],
					},
				},
				latest: {
					reject: {
						sent: Array(4).fill("queued"),
						runs: ["m5 past m2+m3+m4"],
					},
					"drop-oldest": {
						sent: Array(4).fill("queued"),
						runs: ["m5 past m2+m3+m4"],
					},
				},
				collect: {
					reject: { sent: ["queued", "queued", full, full], runs: ["m2+m3"] },
					"drop-oldest": {
						sent: Array(4).fill("queued"),
						runs: ["m4+m5 past m2+m3"],
					},
				},
				steer: {
					reject: {
						sent: ["steered", "steered", full, full],
						runs: ["m2", "m3"],
					},
					"drop-oldest": {
						sent: Array(4).fill("steered"),
						runs: ["m4 past m2", "m5 past m3"],
					},
				},
				interrupt: {
					reject: {
						sent: ["queued", "queued", full, full],
						runs: ["m3", "m2"],
					},
					"drop-oldest": {
						sent: Array(4).fill("queued"),
						runs: ["m5 past m3", "m4 past m2"],
					},
				},
				rollback: {
					reject: {
						sent: ["queued", "queued", full, full],
						runs: ["m3", "m2"],
					},
					"drop-oldest": {
						sent: Array(4).fill("queued"),
						runs: ["m5 past m3", "m4 past m2"],
					},
				},
			};
			for (const [mode, byOnFull] of Object.entries(table))
				for (const [onFull, { sent, runs }] of Object.entries(byOnFull))
					test(`${mode} with ${onFull} and room for two`, async () => {
						const host = await start({
							overlap: { mode, onFull, capacity: 2 } as OverlapPolicy,
						});
						await host.runtime.send("k", "m1");
						const answers = await sendAll(host, ["m2", "m3", "m4", "m5"]);
						expect(dispositions(answers)).toEqual(sent);
						expect(await runsOf(host, 1)).toEqual(runs);
						// Whatever was accepted has ended by now, and no more than fits was kept.
						const accepted = answers.filter((one) => typeof one !== "string");
						const outcomes = await Promise.all(
							accepted.map(({ settled }) => settled),
						);
						const removed = outcomes.filter(
							({ outcome }) => outcome === "removed",
						);
						const ran = runs
							.map((run) => run.split(" past ")[0]?.split("+").length ?? 0)
							.reduce((sum, count) => sum + count, 0);
						expect(removed).toHaveLength(accepted.length - ran);
					});

			test("is said with its capacity", async () => {
				const host = await start({ overlap: { mode: "enqueue", capacity: 1 } });
				await sendAll(host, ["m1", "m2"]);
				await expect(host.runtime.send("k", "m3")).rejects.toThrow(
					/1 messages wait on session "k"/,
				);
			});

			test("has room for one that comes with a reset, which was committed with it", async () => {
				const host = await start({ overlap: { mode: "enqueue", capacity: 1 } });
				await sendAll(host, ["m1", "m2"]);
				const receipt = await host.runtime.send("k", "r", { reset: true });
				expect(receipt).toMatchObject({
					disposition: "queued",
					row: { generation: 2, queued: 2 },
				});
				expect(await runsOf(host, 1)).toEqual(["r", "m2"]);
			});

			test("a message that was passed over, sent again, is a duplicate that was removed", async () => {
				const host = await start({ overlap: "latest" });
				await host.runtime.send("k", "m1");
				await host.runtime.send("k", "m2", { messageId: "two" });
				await host.runtime.send("k", "m3");
				const again = await host.runtime.send("k", "m2", { messageId: "two" });
				expect(again).toMatchObject({ disposition: "duplicate", ticket: null });
				expect(await again.settled).toEqual({
					ticket: null,
					outcome: "removed",
				});
				expect(await runsOf(host, 1)).toEqual(["m3 past m2"]);
			});
		});

		describe("ten thousand messages to one session with room for a thousand", () => {
			const many = Array.from({ length: 10_000 }, (_, i) => i);
			/** Sends them in one tick, lets all runs end, and counts. */
			const count = async (host: ScriptedHost) => {
				const answers = await sendAll(host, many);
				const queued = (await host.runtime.get("k"))?.queued ?? 0;
				const counts: Record<string, number> = {};
				const add = (what: string) => {
					counts[what] = (counts[what] ?? 0) + 1;
				};
				for (const one of dispositions(answers)) add(one);
				host.scripted.last.end();
				await host.runtime.whenIdle("k");
				const settled = await Promise.all(
					answers.map((one) => (typeof one === "string" ? null : one.settled)),
				);
				for (const one of settled) if (one) add(one.outcome);
				return { counts, queued };
			};
			/** The first run is ended by the test, and all after it by themselves. */
			const startMany = async (overlap: OverlapPolicy) => {
				const given = { executed: 0 };
				const host = await start({
					overlap,
					execute: (run) => {
						given.executed += 1;
						return given.executed === 1
							? host.scripted.execute(run)
							: undefined;
					},
				});
				return { ...host, given };
			};

			test("enqueue with reject: each is started, queued or refused, and each that was accepted runs", async () => {
				const host = await startMany({ mode: "enqueue", capacity: 1000 });
				expect(await count(host)).toEqual({
					counts: { started: 1, queued: 1000, [full]: 8999, completed: 1001 },
					queued: 1000,
				});
				expect(host.given.executed).toBe(1001);
			});

			test("collect with drop-oldest: what was removed and what ran is what was accepted", async () => {
				const host = await startMany({
					mode: "collect",
					capacity: 1000,
					onFull: "drop-oldest",
				});
				expect(await count(host)).toEqual({
					counts: { started: 1, queued: 9999, removed: 8999, completed: 1001 },
					queued: 1000,
				});
				expect(host.given.executed).toBe(2);
			});

			test("latest: one waits, and it knows the newest hundred that it was taken instead of", async () => {
				const host = await start({ overlap: "latest" });
				expect(dispositions(await sendAll(host, many)).slice(0, 2)).toEqual([
					"started",
					"queued",
				]);
				expect(await host.runtime.get("k")).toMatchObject({ queued: 1 });
				host.scripted.last.end();
				await turns(400);
				const { run } = host.scripted.last;
				expect(run.messages).toMatchObject([{ input: 9999 }]);
				expect(run.skipped.map(({ input }) => input)).toEqual(
					many.slice(-101, -1),
				);
			});
		});
	});
