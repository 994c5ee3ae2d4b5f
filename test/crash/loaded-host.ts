/**
 * A host under load that is meant to be killed: many sessions, everything at once. Says on standard output what it was told, a line of JSON
 * each, before it does anything else. `node loaded-host.ts OPTIONS`, as JSON. Runs until it is killed, in its last life until all settled.
 */
import { createHash } from "node:crypto";
import { appendFileSync, writeSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import type { OverlapMode } from "../../machines/events.ts";
import {
	createSessionRuntime,
	type ManagedRun,
	type OpenStore,
	type RunTicket,
	type SessionStore,
} from "../../src/index.ts";
import { sqliteStore } from "../../src/sqlite.ts";
import { generator } from "../../src/testing/random.ts";
import {
	type Call,
	type Carried,
	type Family,
	families,
	familyOf,
	type LifeOptions,
	maxAttempts,
	type Said,
	type SaidRun,
} from "./testimony.ts";

const options: LifeOptions = JSON.parse(process.argv[2] as string);
const { life, seed, last } = options;
const below = generator(seed * 1000 + life);
const pick = <One>(...all: readonly One[]) => all[below(all.length)] as One;
let count = 0;
const fresh = (what: string) => `${what} ${life}.${++count}`;

/** Before anything else happens, and whole. */
function say(said: Said): void {
	let left = Buffer.from(`${JSON.stringify(said)}\n`);
	while (left.length > 0)
		try {
			left = left.subarray(writeSync(1, left));
		} catch (error) {
			if ((error as NodeJS.ErrnoException).code !== "EAGAIN") throw error;
		}
}

const begins = (call: Call, sessionKey: string) =>
	say({ said: "begins", call, sessionKey });

const saidRun = (ticket: RunTicket): SaidRun => {
	const { sessionKey, generation, runId, attempt } = ticket;
	return { sessionKey, generation, runId, attempt };
};

/** What a call may come to, other than its answer. */
const refusals = [
	"SESSION_BUSY",
	"MAILBOX_FULL",
	"STALE_RUN",
	"WAIT_TIMEOUT",
	"RUN_ABORTED",
];
const codeOf = (error: unknown) => String((error as { code?: unknown })?.code);

function check(error: unknown, call: string): void {
	if (!refusals.includes(codeOf(error)))
		say({ said: "wrong", what: `${call}: ${codeOf(error)} ${error}` });
}

/** A store whose owner dies at a certain commit. */
function dying(store: SessionStore): SessionStore {
	const { diesAt } = options;
	let commits = 0;
	const die = () => process.kill(process.pid, "SIGKILL");
	return {
		read: () => store.read(),
		async open(owner) {
			const opened = await store.open(owner);
			const commit: OpenStore["commit"] = async (batch) => {
				commits += 1;
				const isDue = commits === diesAt?.commit;
				if (isDue && diesAt.moment === "before") die();
				await opened.commit(batch);
				if (isDue) die();
			};
			return new Proxy(opened, {
				get(target, name) {
					if (name === "commit") return commit;
					const value = Reflect.get(target, name, target);
					return typeof value === "function" ? value.bind(target) : value;
				},
			});
		},
	};
}

const runtime = createSessionRuntime<string, string>({
	store: dying(
		sqliteStore(options.file, {
			lockTimeoutMs: 10_000,
			thread: options.thread,
		}),
	),
	graceMs: 30,
	passivateAfterMs: 50,
	maxResident: 12,
	...(below(3) === 0 ? { maxConcurrentRuns: 6 } : {}),
	...(options.recovery === "retry"
		? { recovery: { mode: "retry", maxAttempts } }
		: {}),
	logger: {
		debug() {},
		info() {},
		warn() {},
		error: (...what: readonly unknown[]) =>
			say({ said: "wrong", what: `it logged ${JSON.stringify(what)}` }),
	},
	execute,
});

/** Waits that are open in this process. */
const waits = new Map<
	string,
	{ readonly run: SaidRun; readonly name: string }
>();

/** What a run does is the same in each of its attempts. */
async function execute(run: ManagedRun<string>): Promise<string> {
	const said = saidRun(run.ticket);
	const messageIds = run.messages.map(({ messageId }) => messageId);
	say({ said: "executing", run: said, messageIds });
	const digest = createHash("sha256").update(run.ticket.runId).digest();
	const choose = generator(digest.readUInt32LE());
	const heedsNothing = choose(12) === 0;
	if (choose(2) === 0) void takeSteering(run).catch(() => {});
	try {
		for (let step = 1 + choose(5); step > 0; step--)
			await steps[choose(steps.length)]?.(run, `step ${step}`);
	} catch (error) {
		check(error, "a step of a run");
		if (!heedsNothing) throw error;
	}
	if (heedsNothing && run.signal.aborted) return new Promise(() => {});
	if (choose(10) === 0) throw new Error("the model said no");
	return "done";
}

async function takeSteering(run: ManagedRun<string>): Promise<void> {
	for await (const { messageId } of run.steering)
		say({ said: "steered", run: saidRun(run.ticket), messageId });
}

type RunStep = (run: ManagedRun<string>, name: string) => Promise<unknown>;

const steps: readonly RunStep[] = [
	append,
	append,
	append,
	deliver,
	deliver,
	wait,
	rest,
	rest,
	rotate,
	spawn,
];

async function append(run: ManagedRun<string>): Promise<void> {
	const n = life * 1_000_000 + ++count;
	const said = saidRun(run.ticket);
	await run.append({ n, ...said });
	say({ said: "appended", run: said, n });
}

async function deliver(run: ManagedRun<string>, name: string): Promise<void> {
	const said = saidRun(run.ticket);
	let idempotencyKey = "";
	const carried = await run.deliver(name, async (context) => {
		idempotencyKey = context.idempotencyKey;
		const own: Carried = { life, attempt: said.attempt };
		if (below(3) === 0) await pause(below(4));
		appendFileSync(
			options.sideLog,
			`${JSON.stringify({ idempotencyKey, ...own })}\n`,
		);
		if (below(3) === 0) await pause(below(4));
		return { ...own, idempotencyKey };
	});
	({ idempotencyKey } = carried);
	const { life: carriedIn, attempt } = carried;
	say({
		said: "delivered",
		run: said,
		idempotencyKey,
		carried: { life: carriedIn, attempt },
	});
}

async function wait(run: ManagedRun<string>, name: string): Promise<void> {
	const said = saidRun(run.ticket);
	const id = `${said.runId} ${name}`;
	waits.set(id, { run: said, name });
	try {
		const value = await run.waitFor<string>(name);
		say({ said: "answered", run: said, name, value });
	} finally {
		waits.delete(id);
	}
}

async function rest(run: ManagedRun<string>): Promise<void> {
	run.usage({ inputTokens: 1 });
	await pause(below(8), undefined, { signal: run.signal }).catch(() => {});
	run.signal.throwIfAborted();
}

async function rotate(run: ManagedRun<string>): Promise<void> {
	await run.rotate();
}

async function spawn(run: ManagedRun<string>): Promise<void> {
	const sessionKey = keyOf("mixed");
	if (sessionKey === run.ticket.sessionKey) return;
	const messageId = fresh("child");
	try {
		const { row } = await run.spawn(sessionKey, "text", {
			messageId,
			attached: below(2) === 0,
		});
		const { generation, version } = row;
		say({ said: "accepted", sessionKey, messageId, generation, version });
	} catch (error) {
		// An ancestor's session.
		if (codeOf(error) !== "INVALID_ARGUMENT") throw error;
	}
}

function keyOf(family: Family): string {
	return `${family}-${below(families[family])}`;
}

const anyKey = () =>
	keyOf(pick("plain", "plain", "mixed", "mixed", "purged", "host"));

const gentle: readonly OverlapMode[] = [
	"enqueue",
	"enqueue",
	"collect",
	"steer",
	"interrupt",
];
const any: readonly OverlapMode[] = [...gentle, "latest", "rollback", "reject"];

async function send(): Promise<void> {
	const sessionKey = anyKey();
	const family = familyOf(sessionKey);
	const messageId = fresh("message");
	const overlap = pick(
		...(family === "mixed" || family === "purged" ? any : gentle),
	);
	if (overlap === "latest" || overlap === "rollback")
		begins("drop", sessionKey);
	// Nobody may stop the host's own runs by a message.
	const mode = family === "host" ? "enqueue" : overlap;
	const reset = family !== "host" && below(20) === 0;
	if (reset) begins("reset", sessionKey);
	try {
		const { row, disposition } = await runtime.send(sessionKey, "text", {
			messageId,
			overlap: mode,
			reset,
		});
		const { generation, version } = row;
		if (disposition === "duplicate")
			say({ said: "wrong", what: `${messageId} is no duplicate` });
		say({ said: "accepted", sessionKey, messageId, generation, version });
	} catch (error) {
		check(error, "send");
		say({ said: "refused", sessionKey, messageId });
	}
}

async function sendAgain(): Promise<void> {
	const known = pick(...options.accepted);
	if (!known) return send();
	const { sessionKey, messageId } = known;
	const { disposition } = await runtime.send(sessionKey, "text", { messageId });
	if (disposition !== "duplicate")
		say({
			said: "wrong",
			what: `${messageId} on ${sessionKey}, accepted before, was ${disposition} when it was sent again`,
		});
}

async function reset(): Promise<void> {
	const sessionKey = anyKey();
	const messageId = fresh("reset");
	const family = familyOf(sessionKey);
	const drops = (family === "mixed" || family === "purged") && below(3) === 0;
	begins("reset", sessionKey);
	if (drops) begins("drop", sessionKey);
	const answer = await runtime.reset(sessionKey, {
		messageId,
		queued: drops ? "drop" : "keep",
	});
	if (answer.result !== "done") {
		say({
			said: "wrong",
			what: `a reset of ${sessionKey} was ${answer.result}`,
		});
		return;
	}
	const { version } = answer.row;
	// Others may have been reset while this one drained.
	const generation = (answer.report.ended?.generation ?? 0) + 1;
	say({ said: "reset", sessionKey, messageId, generation, version });
}

async function resetAgain(): Promise<void> {
	const known = pick(...options.resets);
	if (!known) return reset();
	const { sessionKey, messageId } = known;
	const { result } = await runtime.reset(sessionKey, { messageId });
	if (result !== "nothing")
		say({
			said: "wrong",
			what: `${messageId} of ${sessionKey}, which held before, was ${result} when it came again`,
		});
}

async function abort(): Promise<void> {
	const sessionKey = anyKey();
	begins("abort", sessionKey);
	const answer = await runtime.abort(sessionKey);
	if (answer.result !== "done") return;
	const { drained, abandoned } = answer.report;
	say({ said: "aborted", runs: [...drained, ...abandoned].map(saidRun) });
}

async function remove(): Promise<void> {
	const sessionKey = keyOf(pick("mixed", "purged"));
	const [message] = await runtime.queue.list(sessionKey);
	if (!message) return;
	const { messageId } = message;
	begins("remove", sessionKey);
	const { result } = await runtime.queue.remove(sessionKey, messageId);
	if (result === "done") say({ said: "removed", sessionKey, messageId });
}

async function erase(): Promise<void> {
	const sessionKey = keyOf(pick("mixed", "purged"));
	begins("delete", sessionKey);
	await runtime.delete(sessionKey, {
		purge: familyOf(sessionKey) === "purged",
	});
}

async function resume(): Promise<void> {
	const { run, name } = pick(...waits.values()) ?? {};
	if (!run || !name) return;
	const value = fresh("answer");
	const { result } = await runtime.resume(run, name, value);
	if (result === "done") say({ said: "resumed", run, name, value });
}

async function admit(): Promise<void> {
	const sessionKey = keyOf("host");
	try {
		const run = await runtime.admit(sessionKey, {
			runId: fresh("host's"),
			leaseMs: 3_600_000,
		});
		const said = saidRun(run.ticket);
		say({ said: "admitted", run: said });
		if (below(2) === 0) await run.start();
		if (below(2) === 0) await append(run as never);
		if (below(2) === 0) await end(said);
	} catch (error) {
		check(error, "admit");
	}
}

/** As the host's agent would, from wherever it runs. */
async function end(run: SaidRun): Promise<void> {
	const { sessionKey, runId, attempt } = run;
	const { verdict } = await runtime.report({
		sessionKey,
		runId,
		attempt,
		phase: "end",
	});
	if (verdict === "applied") say({ said: "ended", run });
}

const load: readonly (() => Promise<void>)[] = [
	...Array(12).fill(send),
	...Array(4).fill(resume),
	...Array(3).fill(admit),
	sendAgain,
	sendAgain,
	reset,
	resetAgain,
	abort,
	remove,
	erase,
];

/** Does one thing after the other until the process dies. */
async function user(): Promise<void> {
	for (;;) {
		const act = pick(...load);
		await act().catch((error) => check(error, act.name));
		if (below(3) === 0) await pause(below(5));
	}
}

await runtime.start();
const running: SaidRun[] = [];
for (let cursor: string | null | undefined; cursor !== null; ) {
	const page = await runtime.list(cursor === undefined ? {} : { cursor });
	for (const { activeRun } of page.items)
		if (activeRun) running.push(saidRun(activeRun));
	cursor = page.cursor;
}
say({ said: "booted", running });

// Also those that were admitted without that anybody heard of it.
const unheard = running.filter(({ runId }) => runId.startsWith("host's"));
for (const run of last ? [...options.leased, ...unheard] : options.leased)
	if (last || below(3) === 0) await end(run);
if (last) {
	let isSettled = false;
	const idle = runtime.whenIdle().then(() => {
		isSettled = true;
	});
	while (!isSettled) {
		await resume();
		await Promise.race([idle, pause(1)]);
	}
	say({ said: "settled" });
	await runtime.close();
} else {
	await Promise.all(Array.from({ length: 24 }, user));
}
