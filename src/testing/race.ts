/**
 * Owns `race`: a script of calls on one runtime, each at the point where it hurts, played in one order and no other. Nothing sleeps:
 * the script holds runs and commits up, and time passes when it says so.
 */
import type { JsonValue } from "../../machines/json.ts";
import { checkChoice, checkName, invalid, shown } from "../arguments.ts";
import type { ResetOptions, StopOptions } from "../runtime.ts";
import { Play, type RaceHost, type RaceTrace } from "./race-play.ts";
import {
	begin,
	crash,
	later,
	momentOf,
	type Planned,
	plannedOf,
	type RaceMoment,
	type RaceRun,
	type RaceStep,
	wrongScript,
} from "./race-step.ts";
import { VirtualClock } from "./virtual-clock.ts";

/**
 * A script, one step after another. Each method gives a new script with one step more; awaited, or returned from an async function, it
 * is played on a runtime of its own and resolves with what came of it.
 */
export interface Race extends PromiseLike<RaceTrace> {
	/** A message whose run is called by this name, or a run that the host drives. */
	run(name: string, options?: RaceRun): Race;
	/** The command, with its own options. `key`, here and below: the session, default "k". */
	reset(
		options?: ResetOptions<JsonValue> & RaceMoment & { key?: string },
	): Race;
	abort(options?: StopOptions & RaceMoment & { key?: string }): Race;
	delete(
		options?: StopOptions & { purge?: boolean } & RaceMoment & {
				key?: string;
			},
	): Race;
	patch(meta: JsonValue, options?: RaceMoment & { key?: string }): Race;
	/** The process dies, and the next one starts on its store. */
	crash(options?: RaceMoment): Race;
	/** Time passes, in ms. */
	later(ms: number): Race;
	/** The next step: `late("end")`, `doubled("end")`, `foreign("end")`, `answer(name, value)` … */
	then(this: Going, step: RaceStep): Race;
	/** As of any promise: plays the script. */
	then<A = RaceTrace, B = never>(
		fulfilled?: ((trace: RaceTrace) => A | PromiseLike<A>) | null,
		rejected?: ((error: unknown) => B | PromiseLike<B>) | null,
	): Promise<A | B>;
}

/**
 * Writes a race down and plays it: the same calls at the same points, every time.
 *
 * A step comes when all before it has come to rest, or is tied to a point: `before`, `during` or `after` a run's `start`, `deliver`,
 * `append`, `wait` or `end`; or a `commit`, `drain` or `boot` that the step before it has set off. What is still told to stop when the
 * script is over gets its grace period.
 *
 * @example
 * const trace = await race({ store: memoryStore() })
 *   .run("a")
 *   .reset({ during: "deliver" })
 *   .then(late("end"));
 * expect(trace.told).toEqual(["started", "done", "aborted"]);
 * expect(trace.row()).toMatchObject({ generation: 2, status: "idle" });
 * console.log(trace.text());
 * @throws INVALID_ARGUMENT for a script that cannot be played: a name that no run has, a point that its run never comes to
 */
export function race(host: RaceHost = {}): Race {
	if (host.clock !== undefined && !(host.clock instanceof VirtualClock))
		throw invalid(
			"clock is not a virtual one; a race needs `virtualClock()`, or none",
		);
	return script(host, []);
}

/** A script that goes on. No script is a subtype of it, by which TypeScript knows that `await` does not mean that `then`. */
interface Going extends Race {
	readonly going?: never;
}

function script(host: RaceHost, planned: readonly Planned[]): Race {
	const and = (next: Planned) => script(host, [...planned, next]);
	const command =
		(name: "reset" | "abort" | "delete") =>
		(given: StopOptions & RaceMoment & { key?: string } = {}) => {
			const {
				key = "k",
				before: _,
				during: __,
				after: ___,
				of,
				...rest
			} = given;
			return and({
				kind: "command",
				label: name,
				moment: momentOf(given),
				ends: false,
				act: ({ runtime }) => runtime[name](key, rest),
			});
		};
	const self: Race = {
		run: (name, options = {}) => {
			checkName(name, "name");
			if (planned.some(({ begins }) => begins?.name === name))
				throw invalid(
					`there are two runs called ${shown(name)}; each needs a name of its own`,
				);
			checkChoice(options.driver ?? "executor", "driver", ["executor", "host"]);
			return and({
				kind: "run",
				label: `run ${name}`,
				moment: momentOf(options),
				ends: false,
				begins: { name, options },
				act: (stage) => begin(stage, name, options),
			});
		},
		reset: command("reset"),
		abort: command("abort"),
		delete: command("delete"),
		patch: (meta, given = {}) =>
			and({
				kind: "command",
				label: "patch",
				moment: momentOf(given),
				ends: false,
				act: ({ runtime }) => runtime.patch(given.key ?? "k", meta),
			}),
		crash: (moment) => self.then(crash(moment)),
		later: (ms) => self.then(later(ms)),
		// biome-ignore lint/suspicious/noThenProperty: awaiting a script plays it, and a script goes on in words
		then: ((first?: unknown, rejected?: unknown) => {
			if (typeof first === "object" && first !== null) {
				const next = plannedOf(first);
				if (!next)
					throw wrongScript(
						`${shown(first)} is no step; late(…), doubled(…), foreign(…), answer(…), crash(), later(…) and fault(…) make one`,
					);
				return and(next);
			}
			return new Play(host, planned)
				.play()
				.then(
					first as (trace: RaceTrace) => unknown,
					rejected as (error: unknown) => unknown,
				);
		}) as Race["then"],
	};
	return self;
}
