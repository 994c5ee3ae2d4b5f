/**
 * Owns what can be done in a simulation, as plain data: each call of the contract, what runs do, what a store and a process may suffer, and
 * time. A move says by number what it is about (the third key, the run before the last), so that it still means something when others
 * before it are left out. Draws moves from chance; plays none.
 */
import type { OverlapMode } from "../../machines/events.ts";
import type { StoreFault } from "./simulate-store.ts";

/** How a runtime is set up; each process life may have its own. */
export interface Boot {
	readonly overlap: {
		readonly mode: OverlapMode;
		readonly debounceMs: number;
		readonly capacity: number;
		readonly onFull: "reject" | "drop-oldest";
	};
	readonly maxConcurrentRuns: number | null;
	readonly runTimeoutMs: number | null;
	readonly idleMs: number | null;
	readonly daily: boolean;
	/** What `onGenerationEnded` does; null: there is none. */
	readonly hook: "quick" | "slow" | "fails" | "hangs" | null;
	/** Most attempts; null: what died is settled. */
	readonly retries: number | null;
	readonly generationsPerKey: number | null;
	readonly refusals: number | null;
	readonly carryOver: boolean;
	readonly maxResident: number;
	readonly passivateAfterMs: number;
	/** Whether somebody looks through `inspect` and at atoms. */
	readonly watched: boolean;
}

/** What a built-in run does by itself; it stands in the input of its message. */
export interface Conduct {
	/** It ends when it is told to stop. */
	readonly heeds: boolean;
	/** It takes messages that steer it. */
	readonly steered: boolean;
	readonly scope: "none" | "quick" | "slow" | "fails";
	/** It ends by itself after so long; null: when a move says so. */
	readonly endsAfterMs: number | null;
}

/** What the session must still be: as it was seen last, as it was before, as it never was, or unused. */
export type Expected = "now" | "before" | "never" | "unused";

/** What a run does, whoever drives it. */
export type Deed =
	| "append"
	| "deliver"
	| "deliver fails"
	| "wait"
	| "wait in time"
	| "spawn"
	| "spawn attached"
	| "rotate"
	| "progress"
	| "usage"
	| "transcript";

export type Move =
	| {
			readonly do: "send";
			readonly key: number;
			readonly mode: OverlapMode | null;
			readonly named: boolean;
			readonly reset: boolean;
			readonly meta: boolean;
			readonly expect: Expected | null;
			readonly conduct: Conduct;
	  }
	/** The same message once more, so many before the last; with another input it is refused. */
	| {
			readonly do: "resend";
			readonly back: number;
			readonly otherInput: boolean;
			readonly reset: boolean;
	  }
	| {
			readonly do: "admit";
			readonly key: number;
			readonly run: number;
			readonly reserve: boolean;
			readonly leaseMs: number | null;
			readonly sessionId: boolean;
			readonly expect: Expected | null;
	  }
	/** The host that drives a run says what becomes of it. */
	| {
			readonly do: "drive";
			readonly run: number;
			readonly what: "start" | "end" | "fail" | "aborted" | "let go";
	  }
	| {
			readonly do: "act";
			readonly managed: boolean;
			readonly run: number;
			readonly deed: Deed;
			readonly key: number;
			readonly name: number;
			readonly ms: number;
	  }
	| {
			readonly do: "finish";
			readonly run: number;
			readonly how: "return" | "throw" | "throw nothing";
	  }
	/** A report with what is left of a ticket; `wrong`: one field of it is another's. */
	| {
			readonly do: "report";
			readonly run: number;
			readonly phase: "start" | "progress" | "end" | "error";
			readonly gives: readonly (
				| "sessionKey"
				| "sessionId"
				| "generation"
				| "attempt"
			)[];
			readonly wrong: boolean;
			readonly usage: number | null;
			readonly twice: boolean;
	  }
	| {
			readonly do: "reset";
			readonly key: number;
			readonly queued: "keep" | "drop" | null;
			readonly id: number | null;
			readonly graceMs: number | null;
			readonly expect: Expected | null;
			readonly sessionId: boolean;
			readonly meta: boolean;
	  }
	| {
			readonly do: "abort";
			readonly key: number;
			readonly queued: "keep" | "drop" | null;
			/** The message so many before the last. */
			readonly back: number | null;
			readonly graceMs: number | null;
			readonly expect: Expected | null;
	  }
	| {
			readonly do: "delete";
			readonly key: number;
			readonly queued: "keep" | "drop" | null;
			readonly purge: boolean;
			readonly expect: Expected | null;
	  }
	| {
			readonly do: "patch";
			readonly key: number;
			readonly field: number;
			readonly erase: boolean;
			readonly expect: Expected | null;
	  }
	| { readonly do: "resume"; readonly wait: number }
	| {
			readonly do: "queue";
			readonly what: "list" | "remove" | "input" | "last" | "before";
			readonly back: number;
			readonly other: number;
	  }
	| {
			readonly do: "read";
			readonly what:
				| "get"
				| "list"
				| "archive"
				| "runs"
				| "transcript"
				| "refusals";
			readonly key: number;
			readonly limit: number;
	  }
	| { readonly do: "import"; readonly key: number }
	| {
			readonly do: "until";
			readonly key: number;
			readonly rests: boolean;
			readonly timeoutMs: number;
	  }
	| { readonly do: "when idle"; readonly key: number | null }
	| { readonly do: "follow"; readonly run: number; readonly from: number }
	| { readonly do: "fault"; readonly faults: readonly StoreFault[] }
	| { readonly do: "slow"; readonly ms: number }
	| { readonly do: "poison"; readonly key: number | null }
	| { readonly do: "lose row"; readonly key: number }
	/** The process dies at once, or in the middle of a commit, and another one comes up. */
	| {
			readonly do: "crash";
			readonly commit: { left: number; moment: "before" | "after" } | null;
			readonly boot: Boot;
	  }
	| {
			readonly do: "close";
			readonly runs: "abort" | "await";
			readonly graceMs: number;
			readonly boot: Boot;
	  }
	/** So many single steps. */
	| { readonly do: "steps"; readonly count: number }
	| { readonly do: "settle" }
	| { readonly do: "advance"; readonly ms: number }
	| { readonly do: "step back"; readonly ms: number }
	/** The store is well again, all that was to be tried again has been: what must hold then is looked at. */
	| { readonly do: "calm" };

/** A number from 0 on, below the one given. */
export type Chance = (below: number) => number;

export interface MoveOptions {
	readonly keys: number;
	/** The built-in runs are told what to do; a host's own do what they do. */
	readonly scripted: boolean;
	/** Whether the store fails, is slow, loses rows. */
	readonly faults: boolean;
	/** Whether processes die and close. */
	readonly crashes: boolean;
}

const modes: readonly OverlapMode[] = [
	"enqueue",
	"reject",
	"latest",
	"collect",
	"steer",
	"interrupt",
	"rollback",
];
const deeds: readonly Deed[] = [
	"append",
	"append",
	"deliver",
	"deliver",
	"deliver fails",
	"wait",
	"wait",
	"wait in time",
	"spawn",
	"spawn attached",
	"spawn attached",
	"rotate",
	"progress",
	"usage",
	"transcript",
];

/** A way to set up a runtime, by chance. What is said of attempts is said once for all lives of a seed. */
export function drawBoot(chance: Chance, retries: number | null): Boot {
	const pick = <T>(of: readonly T[]): T => of[chance(of.length)] as T;
	return {
		overlap: {
			mode: pick(["enqueue", "enqueue", ...modes]),
			debounceMs: pick([0, 0, 0, 15]),
			capacity: pick([2, 5, 50]),
			onFull: pick(["reject", "drop-oldest"]),
		},
		maxConcurrentRuns: pick([null, null, 1, 2]),
		runTimeoutMs: pick([null, null, 90]),
		idleMs: pick([null, null, 70]),
		daily: chance(6) === 0,
		hook: pick([null, null, "quick", "slow", "fails", "hangs"]),
		retries,
		generationsPerKey: pick([null, null, 2]),
		refusals: pick([null, null, 5]),
		carryOver: chance(2) === 0,
		maxResident: pick([1, 1, 100]),
		passivateAfterMs: pick([10, 10, 60_000]),
		watched: chance(6) === 0,
	};
}

export function drawConduct(chance: Chance): Conduct {
	const pick = <T>(of: readonly T[]): T => of[chance(of.length)] as T;
	return {
		heeds: chance(3) > 0,
		steered: chance(3) === 0,
		scope: pick(["none", "none", "quick", "slow", "fails"]),
		endsAfterMs: pick([null, null, null, 0, 25]),
	};
}

/** The moves of a seed, one after the other, without an end. */
export function* drawMoves(
	chance: Chance,
	options: MoveOptions,
	retries: number | null,
): Generator<Move, never, undefined> {
	const { scripted, faults, crashes } = options;
	const pick = <T>(of: readonly T[]): T => of[chance(of.length)] as T;
	const may = (oneIn: number) => chance(oneIn) === 0;
	const key = () => chance(options.keys);
	const expected = (oneIn: number): Expected | null =>
		may(oneIn) ? pick(["now", "now", "before", "never", "unused"]) : null;
	const queued = () => pick(["keep", "drop", null] as const);
	const graceMs = () => pick([null, null, null, 0, 15]);
	const boot = () => drawBoot(chance, retries);
	const makers: [weight: number, make: () => Move][] = [
		[
			16,
			() => ({
				do: "send",
				key: key(),
				mode: may(2) ? pick(modes) : null,
				named: chance(8) > 0,
				reset: may(10),
				meta: may(8),
				expect: expected(8),
				conduct: drawConduct(chance),
			}),
		],
		[
			3,
			() => ({
				do: "resend",
				back: chance(12),
				otherInput: may(6),
				reset: may(8),
			}),
		],
		[
			6,
			() => ({
				do: "admit",
				key: key(),
				run: chance(8),
				reserve: may(3),
				leaseMs: may(3) ? 1 + chance(90) : null,
				sessionId: may(6),
				expect: expected(10),
			}),
		],
		[
			6,
			() => ({
				do: "drive",
				run: chance(6),
				what: pick(["start", "start", "end", "fail", "aborted", "let go"]),
			}),
		],
		[
			scripted ? 14 : 3,
			() => ({
				do: "act",
				managed: scripted && chance(4) > 0,
				run: chance(6),
				deed: pick(deeds),
				key: key(),
				name: chance(4),
				ms: chance(80),
			}),
		],
		[
			scripted ? 9 : 0,
			() => ({
				do: "finish",
				run: chance(6),
				how: pick(["return", "return", "return", "throw", "throw nothing"]),
			}),
		],
		[
			7,
			() => ({
				do: "report",
				run: chance(20),
				phase: pick(["start", "progress", "end", "end", "error"]),
				gives: (
					["sessionKey", "sessionId", "generation", "attempt"] as const
				).filter(() => may(2)),
				wrong: may(8),
				usage: may(2) ? 1 + chance(9) : null,
				twice: may(4),
			}),
		],
		[
			5,
			() => ({
				do: "reset",
				key: key(),
				queued: queued(),
				id: may(4) ? chance(5) : null,
				graceMs: graceMs(),
				expect: expected(6),
				sessionId: may(6),
				meta: may(6),
			}),
		],
		[
			4,
			() => ({
				do: "abort",
				key: key(),
				queued: queued(),
				back: may(2) ? chance(9) : null,
				graceMs: graceMs(),
				expect: expected(8),
			}),
		],
		[
			2,
			() => ({
				do: "delete",
				key: key(),
				queued: queued(),
				purge: may(3),
				expect: expected(8),
			}),
		],
		[
			3,
			() => ({
				do: "patch",
				key: key(),
				field: chance(3),
				erase: may(4),
				expect: expected(5),
			}),
		],
		[4, () => ({ do: "resume", wait: chance(6) })],
		[
			4,
			() => ({
				do: "queue",
				what: pick(["list", "remove", "input", "last", "before"]),
				back: chance(9),
				other: chance(9),
			}),
		],
		[
			4,
			() => ({
				do: "read",
				what: pick([
					"get",
					"list",
					"archive",
					"runs",
					"transcript",
					"refusals",
				]),
				key: key(),
				limit: 1 + chance(4),
			}),
		],
		[1, () => ({ do: "import", key: chance(6) })],
		[
			2,
			() => ({
				do: "until",
				key: key(),
				rests: may(2),
				timeoutMs: 1 + chance(90),
			}),
		],
		[1, () => ({ do: "when idle", key: may(2) ? key() : null })],
		[2, () => ({ do: "follow", run: chance(8), from: 1 + chance(3) })],
		[
			faults ? 5 : 0,
			() => ({
				do: "fault",
				faults: Array.from({ length: 1 + chance(3) }, () =>
					pick(["before", "before", "after", "after", "version", "read"]),
				),
			}),
		],
		[faults ? 1 : 0, () => ({ do: "slow", ms: pick([0, 1, 4, 30]) })],
		[faults ? 1 : 0, () => ({ do: "poison", key: may(2) ? null : key() })],
		[faults && may(8) ? 1 : 0, () => ({ do: "lose row", key: key() })],
		[
			crashes ? 1 : 0,
			() => ({
				do: "crash",
				commit: may(2)
					? null
					: { left: chance(4), moment: pick(["before", "after"]) },
				boot: boot(),
			}),
		],
		[
			crashes ? 0.6 : 0,
			() => ({
				do: "close",
				runs: pick(["abort", "await"]),
				graceMs: pick([0, 30, 500]),
				boot: boot(),
			}),
		],
		[10, () => ({ do: "steps", count: 1 + chance(6) })],
		[8, () => ({ do: "settle" })],
		[
			12,
			() => ({
				do: "advance",
				ms: pick([chance(10), chance(60), chance(60), 300]),
			}),
		],
		[0.4, () => ({ do: "advance", ms: pick([21_600_000, 90_000_000]) })],
		[0.5, () => ({ do: "step back", ms: pick([1, 40, 3_600_000]) })],
		[0.8, () => ({ do: "calm" })],
	];
	const grain = 10;
	const table = makers.flatMap(([weight, make]) =>
		Array.from({ length: Math.round(weight * grain) }, () => make),
	);
	for (;;) yield pick(table)();
}
