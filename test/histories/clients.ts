/**
 * Owns what is played for a history: clients that call a runtime at the same time, runs that do what they are told to, and a scheduler that
 * says whose turn it is. All of it follows from plain values, so that it shrinks, and a seed is its replay.
 */
import fc, { type Scheduler } from "fast-check";
import {
	type AdmittedRun,
	createSessionRuntime,
	type JsonValue,
	type ManagedRun,
	type RunTicket,
	type SessionRuntime,
	type SessionStore,
} from "turnkeeper";
import {
	type HistoryCall,
	type HistoryRecorder,
	recordHistory,
} from "turnkeeper/testing";
import { FaultyStore } from "../../src/testing/faulty-store.ts";
import { turns, VirtualClock } from "../../src/testing/virtual-clock.ts";
import { silent } from "../support/host.ts";
import { ScheduledStore } from "./scheduled-store.ts";

/** One move of a client: what it does, on which key, and two numbers that say how. */
export interface Move {
	readonly what: (typeof moves)[number];
	readonly key: number;
	readonly a: number;
	readonly b: number;
}

const moves = [
	"send",
	"send",
	"send",
	"admit",
	"admit",
	"drive",
	"drive",
	"report",
	"reset",
	"abort",
	"delete",
	"patch",
	"update",
	"remove",
	"resume",
	"get",
	"get",
] as const;

/** What an executor does before it ends. */
export interface Work {
	readonly steps: readonly (
		| "append"
		| "rotate"
		| "waitFor"
		| "deliver"
		| "usage"
	)[];
	readonly end: "returns" | "throws" | "hangs";
	/** Whether it ends when its signal is fired. */
	readonly heeds: boolean;
}

/** What is played. */
export interface Play {
	readonly clients: readonly (readonly Move[])[];
	readonly works: readonly Work[];
	/** What becomes of the commits, from the first on. */
	readonly faults: readonly ("before" | "after" | "blind" | null)[];
}

const move: fc.Arbitrary<Move> = fc.record({
	what: fc.constantFrom(...moves),
	key: fc.nat(2),
	a: fc.nat(11),
	b: fc.nat(11),
});

const work: fc.Arbitrary<Work> = fc.record({
	steps: fc.array(
		fc.constantFrom("append", "rotate", "waitFor", "deliver", "usage"),
		{ maxLength: 3 },
	),
	end: fc.constantFrom("returns", "returns", "throws", "hangs"),
	heeds: fc.boolean(),
});

/** Plays of a few clients; with faults, some commits fail before or after they took effect, and some of those cannot be asked about. */
export function plays(hasFaults: boolean): fc.Arbitrary<Play> {
	return fc.record({
		clients: fc.array(fc.array(move, { minLength: 2, maxLength: 8 }), {
			minLength: 2,
			maxLength: 4,
		}),
		works: fc.array(work, { minLength: 1, maxLength: 6 }),
		faults: hasFaults
			? fc.array(
					fc.constantFrom(
						null,
						null,
						null,
						"before" as const,
						"after" as const,
						"blind" as const,
					),
					{ maxLength: 12 },
				)
			: fc.constant([]),
	});
}

/** Where a play is played. */
export interface Stage {
	/** A runtime that executes runs so, and has started. */
	start(
		execute: (run: ManagedRun<JsonValue>) => Promise<unknown>,
		recorder: HistoryRecorder,
	): Promise<SessionRuntime<JsonValue>>;
	/** Waits for its turn. */
	step(label: string): Promise<unknown>;
	/** The clients begin, or have come to their end. */
	begin(isOn: boolean): void;
	/** Nothing goes on any more. */
	rested?(recorder: HistoryRecorder): Promise<void>;
	/** Gives turns until it holds, in so many rounds at most; where nothing goes on but by itself, what hangs is ended. */
	drive(
		holds: () => boolean,
		hanging: Set<() => void>,
		most?: number,
	): Promise<void>;
}

/** Plays it on the embedded engine, where the scheduler decides whose turn it is. */
export async function played(
	{ faults, ...play }: Play,
	scheduler: Scheduler,
	inner: SessionStore,
	options: { readonly keys?: number } = {},
): Promise<readonly HistoryCall[]> {
	const faulty = new FaultyStore(inner);
	const store = new ScheduledStore(blinded(faulty), scheduler);
	const clock = new VirtualClock();
	const keys = ["a", "b", "c"].slice(0, options.keys ?? 3);
	return playedOn(play, keys, {
		async start(execute, recorder) {
			const runtime = recorder.runtime(
				createSessionRuntime<JsonValue>({
					store,
					clock,
					logger: silent,
					graceMs: 100,
					execute: recorder.executor(execute),
				}),
			);
			return runtime.start();
		},
		step: (label) => scheduler.schedule(Promise.resolve(), label),
		begin(isOn) {
			store.isOn = isOn;
			faulty.faults.length = 0;
			if (isOn)
				faulty.faults.push(...(faults as (null | "before" | "after")[]));
		},
		async drive(holds, hanging, most = 4000) {
			let quiet = 0;
			for (let i = 0; i < most && !holds(); i++) {
				if (scheduler.count() > 0) {
					quiet = 0;
					await scheduler.waitOne();
					await turns(2);
					continue;
				}
				await turns(2);
				if (holds() || scheduler.count() > 0) continue;
				quiet += 1;
				if (quiet > 2) {
					for (const end of hanging) end();
					hanging.clear();
				}
				await clock.advance(50);
			}
		},
	});
}

/** Plays it to its end, and gives what was called and told. */
export async function playedOn(
	{ clients, works }: Omit<Play, "faults">,
	keys: readonly string[],
	stage: Stage,
): Promise<readonly HistoryCall[]> {
	const recorder = recordHistory();
	const admitted: AdmittedRun[] = [];
	const tickets: RunTicket[] = [];
	const waiting: { ticket: RunTicket; name: string }[] = [];
	const hanging = new Set<() => void>();
	let count = 0;
	let works_ = 0;
	let isEnding = false;
	const step = (label: string) => stage.step(label);

	const execute = async (run: ManagedRun<JsonValue>): Promise<unknown> => {
		const { steps, end, heeds } = works[works_ % works.length] as Work;
		works_ += 1;
		tickets.push(run.ticket);
		const stopped = new Promise<never>((_, reject) => {
			if (heeds)
				run.signal.addEventListener("abort", () => reject(run.signal.reason));
		});
		stopped.catch(() => {});
		const work = async () => {
			for (const [i, what] of steps.entries()) {
				await step(`run ${what}`);
				const name = `${what} ${i % 2}`;
				const acts = {
					append: () => run.append({ i }),
					rotate: () => run.rotate(),
					waitFor: () => {
						if (isEnding) return;
						waiting.push({ ticket: run.ticket, name });
						return run.waitFor(name);
					},
					deliver: () =>
						run.deliver(name, async () => {
							await step("delivery");
							return i;
						}),
					usage: () => run.usage({ inputTokens: 1, outputTokens: i }),
				};
				// A run may go on whatever it is told.
				await Promise.resolve(acts[what]()).catch(() => {});
			}
			await step(`run ${end}`);
			if (end === "throws") throw new Error("broke");
			if (end === "hangs" && !isEnding)
				await new Promise<void>((resolve) => hanging.add(resolve));
			return "done";
		};
		return Promise.race([work(), stopped]);
	};

	const runtime = await stage.start(execute, recorder);
	const drive = (holds: () => boolean, most?: number) =>
		stage.drive(holds, hanging, most);
	stage.begin(true);

	const make = async ({ what, key: k, a, b }: Move): Promise<unknown> => {
		const key = keys[k % keys.length] as string;
		count += 1;
		const n = count;
		switch (what) {
			case "send":
				return runtime.send(key, `input ${a % 6}`, {
					messageId: a % 3 === 0 ? `m${a % 6}` : `m ${n}`,
					...(b < 7
						? {
								overlap: (
									[
										"reject",
										"enqueue",
										"latest",
										"collect",
										"steer",
										"interrupt",
										"rollback",
									] as const
								)[b] as "enqueue",
							}
						: {}),
					...(b === 8 ? { reset: true } : {}),
					...(b === 9 ? { expect: { generation: 1 } } : {}),
					...(b === 10 ? { meta: { sent: n } } : {}),
				});
			case "admit": {
				const run = await runtime.admit(key, {
					runId: `r${a % 4}`,
					reserve: b % 2 === 0,
					...(b === 3 ? { sessionId: `given ${a % 3}` } : {}),
				});
				admitted.push(run);
				tickets.push(run.ticket);
				return;
			}
			case "drive": {
				const run = admitted[a % Math.max(1, admitted.length)];
				if (!run) return;
				const acts = [
					() => run.start(),
					() => run.end({ usage: { outputTokens: b } }),
					() => run.fail("broke"),
					() => run.rotate(),
					() => run.append(n),
					async () => run.usage({ inputTokens: 2 }),
					() => run.deliver(`d${a % 2}`, () => n),
					() => run[Symbol.asyncDispose](),
				];
				return acts[b % acts.length]?.();
			}
			case "report": {
				const ticket = tickets[a % Math.max(1, tickets.length)];
				if (!ticket) return;
				const { sessionKey, runId, generation } = ticket;
				return runtime.report({
					sessionKey,
					runId,
					...(b % 2 ? { generation } : {}),
					...((b % 3 === 0
						? { phase: "start" }
						: b % 3 === 1
							? { phase: "end", usage: { inputTokens: b } }
							: { phase: "error", error: "late" }) as { phase: "start" }),
				});
			}
			case "reset":
				return runtime.reset(key, {
					queued: a % 3 === 0 ? "drop" : "keep",
					...(b % 4 === 0 ? { messageId: `new${a % 2}` } : {}),
					...(b % 4 === 1 ? { expect: { generation: 1 + (a % 3) } } : {}),
					...(b % 4 === 2 ? { meta: { reset: n } } : {}),
				});
			case "abort":
				return runtime.abort(key, {
					queued: a % 3 === 0 ? "drop" : "keep",
					...(b % 4 === 0 ? { expect: { messageId: `m${a % 6}` } } : {}),
					...(b % 4 === 1 ? { expect: { runId: `r${a % 4}` } } : {}),
					...(b % 3 === 2 ? { messageId: `stop${a % 2}` } : {}),
				});
			case "delete":
				return runtime.delete(key, {
					purge: a % 3 === 0,
					queued: b % 2 ? "keep" : "drop",
					...(b % 3 === 2 ? { messageId: `stop${a % 2}` } : {}),
				});
			case "patch":
				return runtime.patch(key, { [`f${a % 2}`]: n });
			case "update":
				return runtime.queue.update(key, `m${a % 6}`, {
					...(b % 2 ? { input: `edited ${n}` } : { before: null }),
				});
			case "remove":
				return runtime.queue.remove(key, `m${a % 6}`);
			case "resume": {
				const one = waiting[a % Math.max(1, waiting.length)];
				return one && runtime.resume(one.ticket, one.name, n);
			}
			case "get":
				return runtime.get(key);
		}
	};

	let isOver = false;
	const all = Promise.all(
		clients.map(async (own) => {
			for (const one of own) {
				await step(`client ${one.what}`);
				await make(one).catch(expected);
			}
		}),
	).then(() => {
		isOver = true;
	});
	await drive(() => isOver);
	if (!isOver) throw new Error("a call was never answered");
	await all;

	// All that hangs ends, and all that waits is answered or aborted.
	isEnding = true;
	stage.begin(false);
	let isIdle = false;
	for (let round = 0; round < 20 && !isIdle; round++) {
		const answers = waiting
			.splice(0)
			.map(({ ticket, name }) =>
				runtime.resume(ticket, name, 0).catch(expected),
			);
		const ends = admitted
			.splice(0)
			.map((run) => run[Symbol.asyncDispose]().then(undefined, expected));
		const idle = Promise.all(keys.map((key) => runtime.whenIdle(key))).then(
			() => {
				isIdle = true;
			},
		);
		// What a delete kept waits for the next use of its session.
		const opened =
			round === 5
				? keys.map((key) =>
						runtime.reset(key, { queued: "drop" }).catch(expected),
					)
				: [];
		void Promise.all([...answers, ...ends, ...opened, idle]);
		await drive(() => isIdle, 40);
	}
	if (!isIdle) throw new Error("the sessions never came to rest");
	await stage.rested?.(recorder);
	recorder.settled();
	const last = Promise.all(keys.map((key) => runtime.get(key)));
	let isRead = false;
	void last.then(() => {
		isRead = true;
	});
	await drive(() => isRead);
	await last;
	const calls = structuredClone(recorder.calls);
	await runtime.close({ graceMs: 0 });
	return calls;
}

/** Refusals are part of a history; anything else is not. */
function expected(error: { code?: string }): void {
	if (typeof error.code !== "string") throw error;
}

/** After a commit that is 'blind' the store cannot be asked for a while what it holds. */
function blinded(faulty: FaultyStore): SessionStore {
	let blind = 0;
	return {
		read: () => faulty.read(),
		open: async (owner) => {
			const store = await faulty.open(owner);
			return new Proxy(store, {
				get: (target, name) => {
					const value = Reflect.get(target, name, target);
					if (typeof value !== "function") return value;
					return async (...args: unknown[]) => {
						const [next] = faulty.faults as (string | null)[];
						if (name === "commit" && next === "blind") {
							faulty.faults[0] = blind % 2 === 0 ? "after" : "before";
							blind = 3;
						} else if (name === "version" && blind > 0) {
							blind -= 1;
							throw new Error("cannot be asked");
						}
						return value.apply(target, args);
					};
				},
			});
		},
	};
}
