/**
 * Owns the steps of a race: what each is called, when it comes, and what it does to the stage that it is played on. Never plays one.
 */
import type { JsonValue } from "../../machines/json.ts";
import type { LifecycleReport, ReportedRun } from "../../machines/report.ts";
import type { RunTicket } from "../../machines/ticket.ts";
import { checkChoice, checkMs, invalid, shown } from "../arguments.ts";
import type { TurnkeeperError } from "../errors.ts";
import type { EmbeddedRuntime, Run, SendOptions } from "../runtime.ts";
import {
	type Course,
	type HeldStore,
	onCourse,
	type RunPoint,
	type Side,
} from "./race-points.ts";
import { turns, type VirtualClock } from "./virtual-clock.ts";

/**
 * A point that a step can be tied to. Of a run: `start` (its admission), `deliver`, `append`, `wait`, `end`. Of what the step before
 * it has set off: `commit`, `drain`, `boot`.
 */
export type RacePoint = RunPoint | "start" | "drain" | "commit" | "boot";

/** When a step comes: at most one of the three. Without, when all before it has come to rest. */
export interface RaceMoment {
	readonly before?: RacePoint;
	readonly during?: RacePoint;
	readonly after?: RacePoint;
	/** The run whose point it is. Default: the newest. */
	readonly of?: string;
}

/** How a named run comes about. */
export interface RaceRun
	extends RaceMoment,
		Pick<SendOptions<JsonValue>, "overlap" | "reset" | "meta" | "expect"> {
	/** Default: "k". */
	readonly key?: string;
	/** Default: its name. */
	readonly input?: JsonValue;
	/** `executor` (default): a message, and `execute` runs it. `host`: admitted, and ended by reports. */
	readonly driver?: "executor" | "host";
	/** Of a run that the host drives, in ms. */
	readonly leaseMs?: number;
}

/** What of a run comes late, twice, or from somebody else. */
export type RaceEvent =
	| "start"
	| "progress"
	| "end"
	| "error"
	| "append"
	| "deliver"
	| "usage";

/** A step for `Race.then`: what `late`, `doubled`, `foreign`, `answer`, `crash`, `later` and `fault` make. */
export interface RaceStep {
	/** In words, as the trace has it. */
	readonly label: string;
}

/** A step as it is played. */
export interface Planned {
	readonly kind:
		| "run"
		| "command"
		| "event"
		| "answer"
		| "crash"
		| "later"
		| "fault";
	readonly label: string;
	readonly moment: RaceMoment;
	/** Whether the end of a run is up to it. */
	readonly ends: boolean;
	/** The run that it begins. */
	readonly begins?: { readonly name: string; readonly options: RaceRun };
	/** Carries it out; resolves with what it is told. */
	readonly act: (stage: RaceStage) => Promise<unknown>;
}

/** What one run is to the script. */
export interface Named {
	readonly name: string;
	readonly key: string;
	readonly driver: "executor" | "host";
	course: Course;
	/** Its newest attempt; null before it begins. */
	run: Run | null;
	ticket: RunTicket | null;
	/** Its executor returns, or throws, when this is opened. */
	end: PromiseWithResolvers<unknown>;
	isOver: boolean;
	/** How often the script has been told that it began. */
	attempts: number;
}

/** What a step acts on. */
export interface RaceStage {
	readonly runtime: EmbeddedRuntime<JsonValue, unknown, JsonValue>;
	readonly clock: VirtualClock;
	readonly store: HeldStore;
	named(name: string | undefined): Named;
	outcomeOf(named: Named): Promise<string>;
	restart(): Promise<void>;
}

/** By what is handed out for it: what it does is nobody else's. */
const steps = new WeakMap<object, Planned>();

/** The step behind what a caller gives; undefined if it is none. */
export function plannedOf(given: object): Planned | undefined {
	return steps.get(given);
}

function step(planned: Planned): RaceStep {
	const given = Object.freeze({ label: planned.label });
	steps.set(given, planned);
	return given;
}

/**
 * Something of an older run comes now. Of a run whose executor runs it: that returns (`end`), throws (`error`), or does something more.
 * Of one that the host drives: it is reported, with its run id and no more. Default: of the first run that has not ended.
 *
 * @example race().run("a").reset().run("b").then(late("end", { of: "a" }))
 */
export function late(what: RaceEvent, moment: RaceMoment = {}): RaceStep {
	return event("late", what, moment, 1, null);
}

/** As `late`, and twice in the same breath. */
export function doubled(what: RaceEvent, moment: RaceMoment = {}): RaceStep {
	return event("doubled", what, moment, 2, null);
}

/**
 * A report by somebody who has no business with the run: its run id, and what is claimed besides. Default: the id of a run that nobody
 * knows.
 *
 * @example race().run("a", { driver: "host" }).then(foreign("end", { generation: 7 }))
 */
export function foreign(
	what: "start" | "progress" | "end" | "error",
	claims: Partial<ReportedRun> & RaceMoment = {},
): RaceStep {
	const { before: _, during: __, after: ___, of: ____, ...claimed } = claims;
	return event(
		"foreign",
		what,
		claims,
		1,
		Object.keys(claimed).length > 0 ? claimed : { runId: "nobody's" },
	);
}

/** An answer to a run that waits. A wait that the script has asked for is called "answer". */
export function answer(
	name = "answer",
	value: JsonValue = true,
	moment: RaceMoment = {},
): RaceStep {
	return step({
		kind: "answer",
		label: `answer ${name}`,
		moment: momentOf(moment),
		ends: false,
		act: (stage) => {
			const { ticket } = begun(stage.named(moment.of), `answer ${name}`);
			return stage.runtime.resume(ticket, name, value);
		},
	});
}

/** The process dies, and the next one starts on its store. */
export function crash(moment: RaceMoment = {}): RaceStep {
	return step({
		kind: "crash",
		label: "crash",
		moment: momentOf(moment),
		ends: false,
		act: (stage) => stage.restart(),
	});
}

/** Time passes, in ms. */
export function later(ms: number): RaceStep {
	checkMs(ms, "ms");
	return step({
		kind: "later",
		label: `${ms} ms later`,
		moment: {},
		ends: false,
		act: ({ clock }) => clock.advance(ms),
	});
}

/** The next commit fails: before it takes effect, or after, when only the word of it is lost. */
export function fault(when: "before" | "after" = "before"): RaceStep {
	checkChoice(when, "when", ["before", "after"]);
	return step({
		kind: "fault",
		label: `the next commit fails ${when} it took effect`,
		moment: {},
		ends: false,
		act: async ({ store }) => store.fail(when),
	});
}

function event(
	kind: "late" | "doubled" | "foreign",
	what: RaceEvent,
	given: RaceMoment,
	times: number,
	claims: Partial<ReportedRun> | null,
): RaceStep {
	checkChoice(what, "what", [
		"start",
		"progress",
		"end",
		"error",
		"append",
		"deliver",
		"usage",
	]);
	const label = `${kind} ${what}${given.of === undefined ? "" : ` of ${given.of}`}`;
	return step({
		kind: "event",
		label,
		moment: momentOf(given),
		ends: claims === null && (what === "end" || what === "error"),
		act: async (stage) => {
			const named = stage.named(given.of);
			const told = await Promise.all(
				Array.from({ length: times }, () =>
					claims || named.driver === "host"
						? reported(stage, named, what, claims, label)
						: executed(stage, named, what, label),
				),
			);
			return told.at(-1);
		},
	});
}

/** Said of a run by a report, with its id and what is claimed besides. */
function reported(
	{ runtime }: RaceStage,
	named: Named,
	what: RaceEvent,
	claims: Partial<ReportedRun> | null,
	label: string,
): Promise<unknown> {
	const { run, ticket } = begun(named, label);
	if (
		what === "start" ||
		what === "progress" ||
		what === "end" ||
		what === "error"
	) {
		if (!claims && (what === "end" || what === "error")) named.isOver = true;
		return runtime.report({
			runId: ticket.runId,
			phase: what,
			...(what === "error" ? { error: label } : {}),
			...claims,
		} as LifecycleReport);
	}
	return acted(run, what, label);
}

/** Done by the executor of a run. */
async function executed(
	stage: RaceStage,
	named: Named,
	what: RaceEvent,
	label: string,
): Promise<unknown> {
	const { run } = begun(named, label);
	if (what === "start")
		throw wrongScript(
			`${label}: the start of run ${shown(named.name)} is no event of its own; one that the host drives has such a start: run(${shown(named.name)}, { driver: "host" })`,
		);
	if (what !== "end" && what !== "error") return acted(run, what, label);
	named.isOver = true;
	named.course.openAll();
	if (what === "end") named.end.resolve(named.name);
	else named.end.reject(new Error(label));
	await turns();
	return stage.outcomeOf(named);
}

function acted(run: Run, what: RaceEvent, label: string): Promise<unknown> {
	if (what === "append") return run.append(label);
	if (what === "deliver") return run.deliver(label, () => label);
	if (what === "progress") run.progress(label);
	else run.usage({ outputTokens: 1 });
	return Promise.resolve();
}

export function begun(
	{ name, run, ticket }: Named,
	label: string,
): { run: Run; ticket: RunTicket } {
	if (!run || !ticket)
		throw wrongScript(
			`${label}: run ${shown(name)} has not begun by then; what is before it in line has to end first`,
		);
	return { run, ticket };
}

/** A message whose run has this name, or a run that the host drives. */
export async function begin(
	stage: RaceStage,
	name: string,
	options: RaceRun,
): Promise<unknown> {
	const { key = "k", input = name, driver = "executor", leaseMs } = options;
	const given = only(options, ["overlap", "reset", "meta", "expect"]);
	if (driver === "executor")
		return stage.runtime.send(key, input, { ...given, messageId: name });
	const { meta, expect } = given;
	const run = await stage.runtime.admit(key, {
		runId: name,
		...(leaseMs === undefined ? {} : { leaseMs }),
		...(meta === undefined ? {} : { meta }),
		...(expect === undefined ? {} : { expect }),
	});
	const named = stage.named(name);
	named.run = run;
	named.ticket = run.ticket;
	named.attempts += 1;
	// What the script asks of it; its end is reported.
	void does(onCourse(run, named.course), named.course).catch(() => {});
	return run;
}

/** What a run without an executor of its own does: what the script means to hold it at, in that order. */
export async function does(run: Run, course: Course): Promise<void> {
	for (const [i, point] of course.asked.entries()) {
		const again = course.asked.slice(0, i).filter((one) => one === point);
		const name = `${again.length > 0 ? ` ${again.length + 1}` : ""}`;
		if (point === "deliver")
			await run.deliver(`reply${name}`, () => "delivered");
		else if (point === "append") await run.append(`entry${name}`);
		else if (point === "wait") await run.waitFor(`answer${name}`);
	}
}

const runPoints = ["deliver", "append", "wait", "end"] as const;
const points = [...runPoints, "start", "drain", "commit", "boot"] as const;

export function isRunPoint(point: RacePoint): point is RunPoint {
	return (runPoints as readonly string[]).includes(point);
}

export function isAtCommit(point: RacePoint | null): boolean {
	return point === "start" || point === "commit" || point === "boot";
}

export function momentOf(given: RaceMoment): RaceMoment {
	const sides = (["before", "during", "after"] as const).filter(
		(side) => given[side] !== undefined,
	);
	if (sides.length > 1)
		throw wrongScript(
			`a step comes ${sides.join(" and ")} something; it can be tied to one point`,
		);
	const [side] = sides;
	if (side) checkChoice(given[side], side, points);
	return only(given, ["before", "during", "after", "of"]);
}

export function anchorOf(
	moment: RaceMoment,
): readonly [Side, RacePoint] | readonly [null, null] {
	for (const side of ["before", "during", "after"] as const) {
		const point = moment[side];
		if (point !== undefined) return [side, point];
	}
	return [null, null];
}

function only<T extends object, K extends keyof T>(
	given: T,
	names: readonly K[],
): Pick<T, K> {
	return Object.fromEntries(
		names
			.filter((name) => given[name] !== undefined)
			.map((name) => [name, given[name]]),
	) as Pick<T, K>;
}

export function unknownRun(
	name: string,
	known: readonly string[],
	label?: string,
): TurnkeeperError {
	const there =
		known.length > 0
			? `there is ${known.map((one) => shown(one)).join(", ")}`
			: "no run has a name yet; run(…) gives one";
	return wrongScript(
		`${label ? `${label}: ` : ""}no run is called ${shown(name)}; ${there}`,
	);
}

/** What scripts have got wrong, as opposed to what the runtime has answered. */
const ofScript = new WeakSet<object>();

/** The script cannot be played as it is. */
export function wrongScript(message: string): TurnkeeperError {
	const error = invalid(message);
	ofScript.add(error);
	return error;
}

export function isOfScript(error: unknown): boolean {
	return typeof error === "object" && error !== null && ofScript.has(error);
}
