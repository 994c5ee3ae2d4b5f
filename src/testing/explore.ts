/**
 * Owns the exhaustive exploration of the session machine: what is asked for, what it came to, and how that is said. The search itself is in
 * explore/.
 */
import type { OverlapMode } from "../../machines/events.ts";
import { sessionMachine } from "../../machines/session.ts";
import { invalid } from "../arguments.ts";
import { Broken } from "./explore/broken.ts";
import { Budget } from "./explore/budget.ts";
import { type Count, Explorer, type Found } from "./explore/explorer.ts";
import type { Move, Scene } from "./explore/moves.ts";
import { Stage } from "./explore/stage.ts";
import type { SessionMachine } from "./explore/step.ts";
import type { Bounds } from "./explore/world.ts";

/** What is explored. Only `bounds` is required. */
export interface ExploreOptions {
	readonly bounds: Bounds;
	/** Modes that messages are sent in. Default: `enqueue` and `interrupt`. */
	readonly modes?: readonly OverlapMode[];
	/** Who drives the runs. Default: managed runs and the host's own. */
	readonly drivers?: readonly ("managed" | "host")[];
	/** What becomes of a run whose process died. Default: `settle`. */
	readonly recovery?: "settle" | "retry";
	/** Whether the host has work of its own on generations that end (`onGenerationEnded`). Default: false. */
	readonly hook?: boolean;
	/** Most turns that wait for one commit. Default: 2. */
	readonly batch?: number;
	/** Another machine in place of the session's: with a guard or an action changed, to see what that breaks. */
	readonly machine?: SessionMachine;
	/** Give up after so many states. Default: no limit. */
	readonly maxStates?: number;
	/** Told about once a second how far it is. */
	readonly onProgress?: (progress: ExploreProgress) => void;
}

export interface ExploreProgress extends Count {
	readonly statesPerSecond: number;
}

/** What an exploration came to. */
export interface Exploration extends ExploreProgress {
	/** Every world within the bounds was reached. */
	readonly isExhausted: boolean;
	readonly violation: Violation | null;
	/** The whole in a line: "exhausted at 2 runs, 1 reset, 1 crash: 10,000 states, …". */
	readonly summary: string;
}

/** A promise that does not hold, and the shortest way there. */
export interface Violation {
	/** As the README numbers them, or `liveness`. */
	readonly promise: number | "liveness";
	readonly message: string;
	/** What happened, in order. */
	readonly trace: readonly string[];
	/** A vitest file that plays the trace. */
	readonly test: string;
}

/**
 * Explores the session machine in a small world, all interleavings within bounds: messages, runs that end, fail, hang or ignore their abort,
 * reports of the host, resets, aborts, deletes, waits, rotations, expiry, commits that fail or are in doubt, crashes and boots. Every promise is
 * checked on the way, and that every session comes to rest.
 *
 * @example
 * const { summary, violation } = await explore({ bounds: { runs: 2, resets: 1, crashes: 1 } });
 * if (violation) throw new Error(violation.test);
 */
export async function explore(options: ExploreOptions): Promise<Exploration> {
	const scene = sceneOf(options);
	const explorer = new Explorer(
		new Stage(options.machine ?? sessionMachine, scene),
	);
	const began = performance.now();
	const progress = (count: Count): ExploreProgress => ({
		...count,
		statesPerSecond: Math.round(
			(count.states * 1000) / Math.max(1, performance.now() - began),
		),
	});
	let told = began;
	const found = await explorer.run((count) => {
		const now = performance.now();
		if (now - told >= 1000) {
			told = now;
			options.onProgress?.(progress(count));
		}
		return count.states < (options.maxStates ?? Number.POSITIVE_INFINITY);
	});
	const reached = progress(explorer.count);
	const isExhausted = found === null && reached.open === 0;
	const violation = found && violationOf(options, scene, found);
	return {
		...reached,
		isExhausted,
		violation,
		summary: summaryOf(scene, reached, isExhausted, violation),
	};
}

/**
 * Plays a trace that `explore` found, then lets the session come to rest. Throws what does not hold, or that a move of it is not there any more.
 *
 * @example replayTrace({ bounds: { runs: 2, resets: 1 } }, ["send enqueue", "1 of 1 committed", "reset"]);
 */
export function replayTrace(
	options: ExploreOptions,
	trace: readonly string[],
): void {
	const stage = new Stage(options.machine ?? sessionMachine, sceneOf(options));
	const budget = new Budget(stage.scene.bounds);
	let world = stage.first();
	let used = 0;
	const go = (move: Move) => {
		used = budget.spend(used, move.spends);
		world = stage.settled(stage.text(move.to()));
	};
	for (const [at, name] of trace.entries()) {
		const moves = stage
			.moves(world)
			.filter(({ spends }) => budget.spend(used, spends) >= 0);
		const move = moves.find((one) => one.name === name);
		if (!move)
			throw invalid(
				`move ${at + 1} of the trace is ${JSON.stringify(name)}, which cannot happen there; what can: ${moves.map((one) => JSON.stringify(one.name)).join(", ")}`,
			);
		go(move);
	}
	for (let count = 0; ; count++) {
		const move = stage
			.moves(world)
			.filter(({ settles }) => settles !== null)
			.sort((a, b) => Number(a.settles) - Number(b.settles))[0];
		if (!move) return;
		if (count === 1000)
			throw new Broken(
				"liveness",
				"left to itself, this session never comes to rest",
			);
		go(move);
	}
}

function sceneOf(options: ExploreOptions): Scene {
	const { bounds } = options;
	for (const [name, bound] of Object.entries(bounds))
		if (!Number.isSafeInteger(bound) || bound < 0)
			throw invalid(
				`bounds.${name} is ${bound}; it must be a whole number, 0 or more`,
			);
	return {
		bounds,
		modes: options.modes ?? ["enqueue", "interrupt"],
		drivers: options.drivers ?? ["managed", "host"],
		recovery: options.recovery ?? "settle",
		hook: options.hook ?? false,
		batch: options.batch ?? 2,
	};
}

const words: Readonly<Record<keyof Bounds, readonly [string, string]>> = {
	runs: ["run", "runs"],
	resets: ["reset", "resets"],
	deletes: ["delete", "deletes"],
	aborts: ["abort", "aborts"],
	crashes: ["crash", "crashes"],
	failedCommits: ["failed commit", "failed commits"],
	waits: ["wait", "waits"],
	rotations: ["rotation", "rotations"],
	expiries: ["expiry", "expiries"],
	timeouts: ["timeout", "timeouts"],
	heldUp: ["want of a slot", "wants of a slot"],
	closes: ["close", "closes"],
	postponed: ["hook postponed", "hooks postponed"],
};

function boundsInWords(bounds: Bounds): string {
	return (Object.keys(words) as (keyof Bounds)[])
		.filter((name) => (bounds[name] ?? 0) > 0)
		.map((name) => `${bounds[name]} ${words[name][bounds[name] === 1 ? 0 : 1]}`)
		.join(", ");
}

function summaryOf(
	{ bounds }: Scene,
	{ states, transitions, depth, statesPerSecond }: ExploreProgress,
	isExhausted: boolean,
	violation: Violation | null,
): string {
	const number = new Intl.NumberFormat("en").format;
	const how = violation
		? `promise ${violation.promise} does not hold`
		: isExhausted
			? "exhausted"
			: "stopped";
	return `${how} at ${boundsInWords(bounds)}: ${number(states)} states, ${number(transitions)} transitions, depth ${depth}, ${number(statesPerSecond)} states/s`;
}

function violationOf(
	options: ExploreOptions,
	scene: Scene,
	{ broken, trace }: Found,
): Violation {
	const { promise, message } = broken;
	const { bounds, modes, drivers, recovery, hook, batch } = scene;
	const given = JSON.stringify({
		bounds,
		modes,
		drivers,
		recovery,
		hook,
		batch,
	});
	const machine = options.machine
		? "\n\t// with the machine that was given"
		: "";
	const test = `import { replayTrace } from "turnkeeper/testing";
import { test } from "vitest";

test(${JSON.stringify(`promise ${promise}: ${message}`)}, () => {${machine}
	replayTrace(${given}, [
${trace.map((name) => `\t\t${JSON.stringify(name)},`).join("\n")}
	]);
});
`;
	return { promise, message, trace, test };
}
