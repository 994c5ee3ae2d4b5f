import type {
	EndedGeneration,
	JsonValue,
	Refusal,
	RunRecord,
	RuntimeOptions,
	SessionRow,
} from "turnkeeper";
import { createSessionRuntime } from "turnkeeper";
import { sqliteStore } from "turnkeeper/sqlite";
import { describe, expect, test } from "vitest";
import { VirtualClock } from "../../src/testing/virtual-clock.ts";
import { temporaryFile } from "../support/stores.ts";
import { startOwner } from "./beside.ts";
import { failure, turnkeeperHere, turnkeeperJson } from "./turnkeeper.ts";

interface Why {
	sessionKey: string;
	session: SessionRow | null;
	sentences: string[];
	generations: EndedGeneration[];
	runs: RunRecord[];
	refusals: Refusal[];
	waiting: { messageId: string; acceptedAt: number; generation: number }[];
	more: boolean;
}

type Runtime = ReturnType<typeof createSessionRuntime<JsonValue>>;

/** r1, r2, r3 … */
function idsFrom(letter: string): () => string {
	let count = 0;
	return () => `${letter}${++count}`;
}

/** A file on which a host has done something, and then died: nothing was closed, so nothing was settled. */
async function leftBy(
	act: (runtime: Runtime, clock: VirtualClock) => Promise<void>,
	options: Partial<RuntimeOptions<JsonValue, unknown, JsonValue>> = {},
): Promise<string> {
	const file = temporaryFile();
	const clock = new VirtualClock(Date.UTC(2026, 0, 1));
	const runtime = createSessionRuntime<JsonValue>({
		store: sqliteStore(file),
		clock,
		execute: () => new Promise(() => {}),
		...options,
	});
	await runtime.start();
	await act(runtime, clock);
	const dead = temporaryFile();
	await turnkeeperHere(["backup", dead, "--db", file, "--force"]);
	const closed = runtime.close({ graceMs: 0 });
	await clock.advance(0);
	await closed;
	return dead;
}

async function why(file: string, key = "k"): Promise<string[]> {
	const { code, stdout, stderr } = await turnkeeperHere([
		"why",
		key,
		"--db",
		file,
	]);
	expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
	return stdout.trimEnd().split("\n");
}

describe("turnkeeper why", () => {
	test("tells generations, runs and who ended them, and the reports that were not applied", async () => {
		const file = await leftBy(async (runtime, clock) => {
			const first = await runtime.admit("k", { runId: "r1", sessionId: "s1" });
			await clock.advance(1500);
			await first.end({ usage: { inputTokens: 10, outputTokens: 20 } });
			await runtime.admit("k", { runId: "r2" });
			const reset = runtime.reset("k", { sessionId: "s2", reason: "/new" });
			await clock.advance(200);
			await runtime.report({ runId: "r2", phase: "end" });
			await reset;
			await runtime.report({ runId: "r2", phase: "error", error: "late" });
			await runtime.report({ runId: "r9", sessionKey: "k", phase: "start" });
			const third = await runtime.admit("k", { runId: "r3" });
			await clock.advance(412);
			await third.fail(new Error("the model is\noverloaded"));
		});
		expect(await why(file)).toEqual([
			'Session "k" is failed in generation 2; its last run failed with "the model is\\noverloaded". Last changed 2026-01-01 00:00:02.112Z.',
			"Generation 1 (session s1) was ended by a reset (/new) 2026-01-01 00:00:01.500Z.",
			"  Run r1 started 2026-01-01 00:00:00.000Z and completed after 1.5 s (10 tokens in, 20 out).",
			"  Run r2 started 2026-01-01 00:00:01.500Z, was told to stop by reset and was aborted after 0.20 s.",
			"Generation 2 (session s2) is the current one.",
			'  Run r3 started 2026-01-01 00:00:01.700Z and failed after 0.41 s: "the model is\\noverloaded".',
			expect.stringMatching(/^3 reports were not applied:$/),
			expect.stringMatching(
				/^ {2}2026-01-01 00:00:01\.700Z: an end of run r2 came late: generation 1 has ended/,
			),
			expect.stringMatching(
				/^ {2}2026-01-01 00:00:01\.700Z: an error of run r2 was a duplicate: run r2 had settled: aborted\.$/,
			),
			expect.stringMatching(
				/^ {2}2026-01-01 00:00:01\.700Z: a start of run r9 was about a run that nobody knows: /,
			),
		]);
	});

	test("tells what is live, what drains and what waits", async () => {
		const file = await leftBy(async (runtime) => {
			await runtime.send("k", "one", { messageId: "m1" });
			await runtime.send("k", "two", { messageId: "m2" });
			void runtime.reset("k", { sessionId: "s2" }).catch(() => {});
			await runtime.send("k", "three", { messageId: "m3" });
			await runtime.admit("other", { runId: "r1", sessionId: "s1" });
			await runtime.admit("other", { runId: "r2", reserve: true });
			void runtime.abort("other").catch(() => {});
			await runtime.patch("other", {});
		});
		const [headline, ...rest] = await why(file);
		expect(headline).toBe(
			'Session "k" is resetting in generation 2; 1 run of older generations, told to stop, has not settled; 2 messages queued. Last changed 2026-01-01 00:00:00.000Z.',
		);
		expect(rest).toEqual([
			expect.stringMatching(
				/^Generation 1 \(session .*\) was ended by a reset /,
			),
			expect.stringMatching(
				/^ {2}Run .* started .*, was told to stop by reset and has not settled\.$/,
			),
			"Generation 2 (session s2) is the current one.",
			"  No run yet.",
			"2 messages wait for a run:",
			"  Message m2, accepted 2026-01-01 00:00:00.000Z in generation 1, kept since.",
			"  Message m3, accepted 2026-01-01 00:00:00.000Z.",
		]);
		expect(await why(file, "other")).toEqual([
			'Session "other" is running in generation 1; run r1 is live. Last changed 2026-01-01 00:00:00.000Z.',
			"Generation 1 (session s1) is the current one.",
			"  Run r2 was reserved and has not started.",
			"  Run r1 is live, has not reported its start, was told to stop by abort and has not settled.",
		]);
	});

	test("tells abandoned and interrupted runs, and a run that never started", async () => {
		const file = await leftBy(async (runtime, clock) => {
			await runtime.admit("k", { runId: "r1", sessionId: "s1" });
			await runtime.admit("k", { runId: "r2", reserve: true });
			const reset = runtime.reset("k", { sessionId: "s2" });
			await clock.advance(5000);
			await reset;
			const run = await runtime.admit("k", { runId: "r3" });
			await run[Symbol.asyncDispose]();
		});
		const told = (await why(file)).join("\n");
		expect(told).toContain(
			"Run r1 started 2026-01-01 00:00:00.000Z, was told to stop by reset and was abandoned after 5.0 s, because it had not settled in its grace period.",
		);
		expect(told).toContain("Run r2 was reserved and never started.");
		expect(told).toContain(
			"was interrupted after 0 ms, because its host closed, died or fell silent.",
		);
	});

	test("tells a wait, a child that runs and one that waits, by which run they were spawned", async () => {
		const file = await leftBy(
			async (runtime) => {
				const { ticket } = await runtime.send("k", "parent");
				await runtime.until("k", (row) => row?.status === "waiting");
				expect(ticket?.runId).toBe("r1");
			},
			{
				ids: { runId: idsFrom("r") },
				execute: async (run) => {
					if (run.messages[0]?.input !== "parent") return new Promise(() => {});
					await run.spawn("child", "one", { messageId: "m1" });
					await run.spawn("child", "two", { messageId: "m2" });
					return run.waitFor("may I?");
				},
			},
		);
		expect((await why(file))[0]).toBe(
			'Session "k" is waiting in generation 1; run r1 is live; it waits for an answer to "may I?". Last changed 2026-01-01 00:00:00.000Z.',
		);
		const told = await why(file, "child");
		expect(told).toContain(
			'  Run r2 started 2026-01-01 00:00:00.000Z, was spawned by run r1 of session "k" and has not settled.',
		);
		expect(told.at(-1)).toBe(
			'  Message m2, spawned by run r1 of session "k", accepted 2026-01-01 00:00:00.000Z.',
		);
	});

	test("tells a run that timed out, and a host that has not finished with the generation that ended", async () => {
		const file = await leftBy(
			async (runtime, clock) => {
				const { settled } = await runtime.send("k", "one");
				await clock.advance(2000);
				await settled;
				void runtime.reset("k", { sessionId: "s2" }).catch(() => {});
				await runtime.until("k", (row) => row?.sessionId === "s2");
			},
			{
				ids: { runId: idsFrom("r") },
				runTimeoutMs: 2000,
				execute: (run) =>
					new Promise((_, reject) => {
						run.signal.addEventListener("abort", () =>
							reject(run.signal.reason),
						);
					}),
				onGenerationEnded: () => new Promise(() => {}),
			},
		);
		const told = await why(file);
		expect(told[0]).toBe(
			'Session "k" is resetting in generation 2; its host has not finished with generation 1 (onGenerationEnded). Last changed 2026-01-01 00:00:02.000Z.',
		);
		expect(told).toContain(
			"  Run r1 started 2026-01-01 00:00:00.000Z and timed out after 2.0 s.",
		);
	});

	test("tells a run that is to be tried again, until its next attempt has begun", async () => {
		const file = temporaryFile();
		const runtime = createSessionRuntime({
			store: sqliteStore(file),
			ids: { runId: idsFrom("r") },
			recovery: { mode: "retry", maxAttempts: 3 },
			execute: (run) =>
				new Promise((_, reject) => {
					run.signal.addEventListener("abort", () => reject(run.signal.reason));
				}),
		});
		await runtime.start();
		await runtime.send("k", "one", { messageId: "m1" });
		await runtime.close();
		const told = (await why(file)).join("\n");
		expect(told).toMatch(
			/Run r1 started .*, was told to stop by shutdown and was interrupted after [^:]*; it is to be tried again\./,
		);
		expect(told).toMatch(/1 message waits for a run:\n {2}Message m1, /);
	});

	test("is honest about a session that is deleted, purged, or was never there", async () => {
		const file = await leftBy(async (runtime) => {
			for (const key of ["k", "gone"])
				await runtime.reset(key, { sessionId: "s1" });
			await runtime.delete("k", { reason: "asked for" });
			await runtime.delete("gone", { purge: true });
		});
		expect(await why(file)).toEqual([
			'Session "k" was deleted 2026-01-01 00:00:00.000Z; the next message or run opens generation 2.',
			"Generation 1 (session s1) was ended by a delete (asked for) 2026-01-01 00:00:00.000Z.",
			"  No run.",
		]);
		expect(await why(file, "gone")).toEqual([
			'Session "gone" was deleted and its history erased; the next message or run opens generation 2.',
		]);
		expect(await turnkeeperHere(["why", "never", "--db", file])).toEqual(
			failure(
				1,
				`no session "never" was ever used in ${file}; turnkeeper sessions list --db ${file} shows those that are`,
			),
		);
	});

	test("--json gives the sentences and what they were told from", async () => {
		const file = await leftBy(async (runtime) => {
			await runtime.send("-k", "one", { messageId: "m1" });
			await runtime.send("-k", "two", { messageId: "m2" });
		});
		const { code, stdout } = await turnkeeperHere([
			"why",
			"--db",
			file,
			"--json",
			"--",
			"-k",
		]);
		expect(code).toBe(0);
		const told = JSON.parse(stdout) as Why;
		expect(Object.keys(told)).toEqual([
			"sessionKey",
			"session",
			"sentences",
			"generations",
			"runs",
			"refusals",
			"waiting",
			"more",
		]);
		expect(told).toMatchObject({
			sessionKey: "-k",
			session: { status: "running", queued: 1 },
			generations: [],
			runs: [{ outcome: null, messageIds: ["m1"] }],
			refusals: [],
			waiting: [{ messageId: "m2", generation: 1 }],
			more: false,
		});
		expect(told.sentences.at(-1)).toMatch(/^Message m2, accepted /);
	});

	test("says when it tells only the newest", async () => {
		const file = await leftBy(async (runtime) => {
			for (let n = 0; n < 22; n += 1)
				await runtime.reset("k", { sessionId: `s${n}` });
		});
		const told = await why(file);
		expect(told[1]).toBe(
			"Only the newest are told: 20 generations, 100 runs of each, 100 reports.",
		);
		expect(told[2]).toMatch(/^Generation 2 /);
		expect(told.filter((line) => line.startsWith("Generation"))).toHaveLength(
			21,
		);
	});

	test("tells beside the host that owns the file", async () => {
		const file = temporaryFile();
		const owner = await startOwner(file);
		const told = await turnkeeperJson<Why>(["why", "live", "--db", file]);
		expect(told.session).toMatchObject({ status: "running" });
		expect(told.sentences).toContain(
			"Run r-live started 2026-11-22 16:01:02.930Z and has not settled.",
		);
		await owner.close();
	});
});
