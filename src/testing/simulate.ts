/**
 * Owns `simulate`: the real runtime in a world of chance that repeats. Draws the moves of a seed, has them played, and tells a broken
 * promise with all that is needed to see it again.
 */
import type { JsonValue } from "../../machines/json.ts";
import {
	checkCount,
	checkMethods,
	checkOptions,
	invalid,
	shown,
} from "../arguments.ts";
import { errorText } from "../errors.ts";
import type { Logger } from "../logger.ts";
import { memoryStore } from "../memory.ts";
import type { SessionStore } from "../store.ts";
import { generator } from "./random.ts";
import { type Boot, drawBoot, drawMoves, type Move } from "./simulate-moves.ts";
import { type PromiseName, promises } from "./simulate-witness.ts";
import {
	type SimulatedExecutor,
	type SimulatedOptions,
	World,
} from "./simulate-world.ts";

/** All of `simulate`; only `seed` is required. */
export interface SimulateOptions {
	/** A whole number, 1 or more: the same one plays the same, byte for byte. */
	readonly seed: number;
	/** How many moves are played before all is brought to its end. Default 150. */
	readonly steps?: number;
	/** How many sessions. Default 3. */
	readonly keys?: number;
	/** A fresh store for this seed. Default: `memoryStore()`. It is made faulty here. */
	readonly store?: () => SessionStore | Promise<SessionStore>;
	/**
	 * Your own executor instead of the built-in one, which does what chance says. All that it waits for and all its chance must come from the
	 * second argument, or the seed does not repeat.
	 *
	 * @example async (run, { sleep }) => { await sleep(20, run.signal); return answer(run.messages); }
	 */
	readonly execute?: SimulatedExecutor;
	/** What your executor is sent: the n-th message. Default: `message n`. */
	readonly input?: (n: number) => JsonValue;
	/** Options of the runtime that are not left to chance, such as `overlap`, `graceMs` or `recovery`. */
	readonly runtime?: SimulatedOptions;
	/** Whether the store fails, is slow and loses rows. Default true. */
	readonly faults?: boolean;
	/** Whether the process dies and closes, and another one comes up. Default true. */
	readonly crashes?: boolean;
	/** What the runtime logs. Default: nothing. */
	readonly logger?: Logger;
	/** Told after each move how many of how many were played. */
	readonly onProgress?: (played: number, of: number) => void;
}

/** What a seed came to whose promises were all kept. */
export interface Simulation {
	readonly seed: number;
	readonly steps: number;
	/** Calls of the contract that were made. */
	readonly calls: number;
	/** Runs that were executed. */
	readonly runs: number;
	readonly commits: number;
	/** Processes, one after the other, and how many of them died. */
	readonly lives: number;
	readonly crashes: number;
	/** What happened, a line each: step, ms since the beginning, and `>` done, `<` answered, `~` told by the feed, `*` done by runs, store or process. */
	readonly trace: string;
}

/** A promise was broken. The message says which one and how to see it again. */
export class PromiseBroken extends Error {
	/** As the README names it. */
	readonly promise: string;
	readonly seed: number | null;
	/** The move after which it was seen, from 1 on. */
	readonly step: number;
	/** All of it; the message has its last lines. */
	readonly trace: string;

	constructor(
		what: string,
		at: {
			readonly promise: PromiseName;
			readonly seed: number | null;
			readonly step: number;
			readonly replay: string;
			readonly trace: string;
		},
	) {
		const last = at.trace.split("\n").slice(-linesTold).join("\n");
		super(
			`a promise is broken (${promises[at.promise]}): ${what}\nseen ${at.seed === null ? "" : `in step ${at.step} of seed ${at.seed}; `}${at.replay}\nthe end of the trace:\n${last}`,
		);
		this.name = "PromiseBroken";
		this.promise = promises[at.promise];
		this.seed = at.seed;
		this.step = at.step;
		this.trace = at.trace;
	}
}

const linesTold = 40;
export const defaultSteps = 150;
export const defaultKeys = 3;

/**
 * Plays one seed: random calls of the whole contract on a runtime with a faulty store, a clock of its own and processes that die, every
 * promise of the README checked as it plays and after all has come to its end.
 *
 * @example
 * for (let seed = 1; seed <= 200; seed++) await simulate({ seed, execute: myExecutor });
 * @throws PromiseBroken, INVALID_ARGUMENT
 */
export async function simulate(options: SimulateOptions): Promise<Simulation> {
	const { seed, steps = defaultSteps } = checkSimulation(options);
	const chance = generator(seed);
	const world = await worldOf(options, generator(seed + 1_000_003));
	const retries = chance(2) === 0 ? null : 1 + chance(3);
	const moves = drawMoves(
		chance,
		{
			keys: options.keys ?? defaultKeys,
			scripted: options.execute === undefined,
			faults: options.faults ?? true,
			crashes: options.crashes ?? true,
		},
		retries,
	);
	await playAll(world, drawBoot(chance, retries), moves, {
		steps,
		seed,
		replay: replayOf(options, steps),
		onProgress: options.onProgress,
	});
	const { calls, runs, lives, crashes } = world.counts;
	const { commits } = world;
	return {
		seed,
		steps,
		calls,
		runs,
		commits,
		lives,
		crashes,
		get trace() {
			return world.trace.text();
		},
	};
}

/** Plays moves on a fresh world, and brings it to its end. */
async function playAll(
	world: World,
	boot: Boot,
	moves: Iterator<Move>,
	told: Told & {
		readonly steps: number;
		readonly onProgress: SimulateOptions["onProgress"];
	},
): Promise<void> {
	await judged(world, () => world.boot(boot), told);
	for (let step = 1; step <= told.steps; step++) {
		const next = moves.next();
		if (next.done) break;
		world.trace.step = step;
		await judged(world, () => world.play(next.value), told);
		told.onProgress?.(step, told.steps);
	}
	world.trace.step += 1;
	await judged(world, () => world.end(), told);
	// A simulation waits for nothing but itself: now the rest of the process gets its turn.
	await new Promise<void>((next) => setImmediate(next));
}

/** What is said of where it was seen. */
interface Told {
	readonly seed: number | null;
	readonly replay: string;
}

/** Plays a part of it, and throws if a promise was broken by then. */
export async function judged(
	world: World,
	play: () => Promise<void>,
	{ seed, replay }: Told,
): Promise<void> {
	try {
		await play();
	} catch (error) {
		// Whatever breaks off the play itself is the runtime's doing.
		world.witness.break("said", errorText(error));
	}
	const { violation } = world.witness;
	if (!violation) return;
	throw new PromiseBroken(violation.text, {
		promise: violation.promise,
		seed,
		step: world.trace.step,
		replay,
		trace: world.trace.text(),
	});
}

export async function worldOf(
	options: Omit<SimulateOptions, "seed">,
	random: (below: number) => number,
): Promise<World> {
	const { execute, keys = defaultKeys, store = memoryStore } = options;
	return new World({
		store: await store(),
		keys: keyNames(keys),
		execute: execute ?? null,
		input: options.input ?? (execute ? (n) => `message ${n}` : null),
		runtime: options.runtime ?? {},
		random,
		logger: options.logger ?? null,
	});
}

/** Names that are hard on whoever keeps things by name come first. */
function keyNames(count: number): readonly string[] {
	const names = ["a", "__proto__", "b/ü 1", "a/b"];
	for (let i = names.length; i < count; i++) names.push(`k${i}`);
	return names.slice(0, count);
}

function checkSimulation(options: SimulateOptions): SimulateOptions {
	const { seed, steps, keys, execute, store, input, logger, runtime } =
		checkOptions(options);
	checkCount(seed, "seed");
	if (steps !== undefined) checkCount(steps, "steps");
	if (keys !== undefined) checkCount(keys, "keys");
	for (const [name, given] of Object.entries({ execute, store, input }))
		if (given !== undefined && typeof given !== "function")
			throw invalid(`${name} is ${shown(given)}; it must be a function`);
	checkOptions(runtime, "runtime");
	if (logger !== undefined)
		checkMethods(logger, "logger", ["debug", "info", "warn", "error"]);
	return options;
}

/** How somebody sees it again. */
function replayOf(options: SimulateOptions, steps: number): string {
	const { seed, onProgress: _, logger: __, ...rest } = options;
	const own = Object.keys(rest).filter(
		(name) => name !== "seed" && name !== "steps",
	);
	return own.length === 0
		? `play it again: npx turnkeeper simulate --seed ${seed} --steps ${steps}`
		: `play it again: simulate({ seed: ${seed}, steps: ${steps}, ${own.join(", ")} })`;
}
