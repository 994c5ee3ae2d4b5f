/** Owns the options of a runtime once they are checked and have their defaults. */
import type { Overlap } from "../machines/events.ts";
import type { ExpiryPolicy } from "../machines/expiry.ts";
import type { Message, SessionRow } from "../machines/facts.ts";
import type { JsonValue } from "../machines/json.ts";
import {
	atOnce,
	checkChoice,
	checkCount,
	checkJson,
	checkMethods,
	checkMs,
	checkName,
	checkOptions,
	checkSchema,
	copied,
	invalid,
	shown,
} from "./arguments.ts";
import {
	type Clock,
	type RuntimeClock,
	runtimeClock,
	systemClock,
} from "./clock.ts";
import { errorText } from "./errors.ts";
import { freshSessionId, risingId } from "./ids.ts";
import { consoleLogger, guarded, type Logger } from "./logger.ts";
import type { RuntimeOptions, Schemas, SessionIdCause } from "./runtime.ts";
import type { SessionStore } from "./store.ts";

export const overlapModes = [
	"reject",
	"enqueue",
	"latest",
	"collect",
	"steer",
	"interrupt",
	"rollback",
] as const;

/** How often a run that died may be tried, and how old its message may be. */
export interface RetryBounds {
	readonly maxAttempts: number;
	readonly maxAgeMs: number;
}

/** What is kept; null: all. */
export interface Retention {
	readonly generationsPerKey: number | null;
	readonly maxAgeMs: number | null;
	readonly refusals: number;
	readonly messageIdsMs: number;
}

export interface Config<Input, Output, Meta> {
	readonly store: SessionStore;
	readonly schemas: Schemas<Input, Output, Meta> | null;
	readonly execute: RuntimeOptions<Input, Output, Meta>["execute"] | null;
	/** What a message gets that arrives while its session stands like this. Throws what the host's function throws. */
	readonly overlap: (row: SessionRow, message: Message) => Overlap;
	readonly graceMs: number;
	readonly runTimeoutMs: number | null;
	readonly maxConcurrentRuns: number;
	readonly retry: RetryBounds | null;
	readonly expiry: ExpiryPolicy | null;
	readonly onGenerationEnded:
		| RuntimeOptions<Input, Output, Meta>["onGenerationEnded"]
		| null;
	readonly retention: Retention;
	readonly passivateAfterMs: number;
	readonly maxResident: number;
	readonly clock: RuntimeClock;
	readonly logger: Logger;
	readonly runId: () => string;
	/** Of what the host does not name itself: messages, refusals. */
	readonly freshId: () => string;
	readonly sessionId: (
		sessionKey: string,
		generation: number,
		cause: SessionIdCause,
	) => string;
	/** What a new generation keeps of the host's fields. Never throws: host functions never refuse a reset, nor do they lose an end. */
	readonly carryOver: (meta: JsonValue, cause: "reset" | "expiry") => JsonValue;
	/** Checks fields that the host gave, and copies them; at once if the schema answers at once. */
	readonly meta: (given: unknown) => JsonValue | Promise<JsonValue>;
}

function checkSchemas(schemas: unknown): void {
	if (schemas === undefined) return;
	const given = checkOptions(
		schemas as Record<string, unknown>,
		"options.schemas",
	);
	for (const name of ["input", "output", "meta"]) {
		const schema = given[name] as { "~standard"?: object } | undefined;
		if (schema === undefined && name !== "input") continue;
		checkMethods(
			schema?.["~standard"],
			`options.schemas.${name}, as a Standard Schema,`,
			["validate"],
		);
	}
}

function checkClock(clock: Clock): Clock {
	checkMethods(clock, "options.clock", ["now", "setTimeout", "clearTimeout"]);
	checkFunction(clock.monotonic, "options.clock.monotonic");
	checkFunction(clock.setImmediate, "options.clock.setImmediate");
	return clock;
}

function checkFunction<Given>(given: Given | undefined, name: string) {
	if (given !== undefined && typeof given !== "function")
		throw invalid(`${name} is ${shown(given)}; it must be a function`);
	return given ?? null;
}

/** A policy with nothing left out. */
function policyOf(given: unknown, name: string): Overlap {
	const policy = checkOptions(
		(typeof given === "string" ? { mode: given } : given) as {
			[Name in keyof Overlap]?: unknown;
		},
		name,
	);
	return {
		mode: checkChoice(
			policy.mode,
			typeof given === "string" ? name : `${name}.mode`,
			overlapModes,
		),
		debounceMs: checkMs(policy.debounceMs ?? 0, `${name}.debounceMs`),
		capacity: checkCount(policy.capacity ?? 1000, `${name}.capacity`),
		onFull: checkChoice(policy.onFull ?? "reject", `${name}.onFull`, [
			"reject",
			"drop-oldest",
		]),
	};
}

function overlapOf(
	given: RuntimeOptions<never, never, never>["overlap"] = "enqueue",
): (row: SessionRow, message: Message) => Overlap {
	if (typeof given === "function")
		return (row, message) =>
			policyOf(
				atOnce(given(row as never, message as never)),
				"what options.overlap returned",
			);
	const policy = policyOf(given, "options.overlap");
	return () => policy;
}

function retryOf(
	given: RuntimeOptions<never, never, never>["recovery"] = { mode: "settle" },
): RetryBounds | null {
	const { mode } = checkOptions(given, "options.recovery");
	checkChoice(mode, "options.recovery.mode", ["settle", "retry"]);
	if (given.mode === "settle") return null;
	return {
		maxAttempts: checkCount(given.maxAttempts, "options.recovery.maxAttempts"),
		maxAgeMs:
			given.maxAgeMs === undefined
				? Number.POSITIVE_INFINITY
				: checkMs(given.maxAgeMs, "options.recovery.maxAgeMs"),
	};
}

function expiryOf(
	given: RuntimeOptions<never, never, never>["expiry"],
): ExpiryPolicy | null {
	if (given === undefined) return null;
	const { idleMs, daily } = checkOptions(given, "options.expiry");
	if (idleMs !== undefined && checkMs(idleMs, "options.expiry.idleMs") === 0)
		throw invalid(
			"options.expiry.idleMs is 0; it must be how many milliseconds a session may rest",
		);
	if (daily === undefined) return { idleMs };
	const { hour, timeZone } = checkOptions(daily, "options.expiry.daily");
	if (!Number.isInteger(hour) || hour < 0 || hour > 23)
		throw invalid(
			`options.expiry.daily.hour is ${shown(hour)}; it must be an hour of the day, 0 to 23`,
		);
	try {
		new Intl.DateTimeFormat("en", { timeZone });
		if (typeof timeZone !== "string") throw new Error("not a string");
	} catch {
		throw invalid(
			`options.expiry.daily.timeZone is ${shown(timeZone)}; it must name a time zone, such as "Europe/Berlin" or "UTC"`,
		);
	}
	return { idleMs, daily: { hour, timeZone } };
}

function retentionOf(
	given: RuntimeOptions<never, never, never>["retention"],
): Retention {
	const { generationsPerKey, maxAgeMs, refusals, messageIdsMs } = checkOptions(
		given,
		"options.retention",
	);
	return {
		generationsPerKey:
			generationsPerKey === undefined
				? null
				: checkCount(generationsPerKey, "options.retention.generationsPerKey"),
		maxAgeMs:
			maxAgeMs === undefined
				? null
				: checkMs(maxAgeMs, "options.retention.maxAgeMs"),
		refusals: checkCount(refusals ?? 100_000, "options.retention.refusals"),
		messageIdsMs: checkMs(
			messageIdsMs ?? 86_400_000,
			"options.retention.messageIdsMs",
		),
	};
}

export function configOf<Input, Output, Meta>(
	options: RuntimeOptions<Input, Output, Meta>,
): Config<Input, Output, Meta> {
	if (typeof options !== "object" || options === null)
		throw invalid(`options is ${shown(options)}; it must be { store, … }`);
	const { store, schemas, execute, carryOver, ids } = options;
	if (typeof store?.open !== "function")
		throw invalid(
			`options.store is ${shown(store)}; it must be a store, such as sqliteStore("sessions.db") or memoryStore()`,
		);
	if (execute !== undefined && typeof execute !== "function")
		throw invalid(
			`options.execute is ${shown(execute)}; it must be a function`,
		);
	const logger = guarded(
		checkMethods(options.logger ?? consoleLogger, "options.logger", [
			"debug",
			"info",
			"warn",
			"error",
		]),
	);
	checkFunction(carryOver, "options.carryOver");
	for (const name of ["runId", "sessionId"] as const)
		if (ids?.[name] !== undefined) checkMethods(ids, "options.ids", [name]);
	checkSchemas(schemas);
	/** An id of the host's own making, or a fresh one where the host's function fails. */
	const hosts = (
		name: string,
		make: (() => unknown) | undefined,
		fresh: () => string,
	): string => {
		if (!make) return fresh();
		try {
			return checkName(atOnce(make()), `what ${name}() returned`);
		} catch (error) {
			logger.error(
				{ error },
				`${name} failed (${errorText(error)}); a fresh id is used`,
			);
			return fresh();
		}
	};
	return {
		store,
		schemas: schemas ?? null,
		execute: execute ?? null,
		overlap: overlapOf(options.overlap),
		runTimeoutMs:
			options.runTimeoutMs === undefined
				? null
				: checkMs(options.runTimeoutMs, "options.runTimeoutMs"),
		maxConcurrentRuns:
			options.maxConcurrentRuns === undefined
				? Number.POSITIVE_INFINITY
				: checkCount(options.maxConcurrentRuns, "options.maxConcurrentRuns"),
		retry: retryOf(options.recovery),
		expiry: expiryOf(options.expiry),
		onGenerationEnded: checkFunction(
			options.onGenerationEnded,
			"options.onGenerationEnded",
		),
		retention: retentionOf(options.retention),
		graceMs: checkMs(options.graceMs ?? 5000, "options.graceMs"),
		passivateAfterMs: checkMs(
			options.passivateAfterMs ?? 60_000,
			"options.passivateAfterMs",
		),
		maxResident: checkCount(
			options.maxResident ?? 10_000,
			"options.maxResident",
		),
		clock: runtimeClock(checkClock(options.clock ?? systemClock)),
		logger,
		freshId: risingId,
		runId: () =>
			hosts("ids.runId", ids?.runId && (() => ids.runId?.()), risingId),
		sessionId: (sessionKey, generation, cause) =>
			hosts(
				"ids.sessionId",
				ids?.sessionId &&
					(() => ids.sessionId?.({ sessionKey, generation, cause })),
				freshSessionId,
			),
		carryOver: (meta, cause) => {
			if (!carryOver) return {};
			try {
				return checkJson(
					atOnce(carryOver(copied(meta) as Meta, cause)),
					"what carryOver returned",
				);
			} catch (error) {
				logger.error(
					{ error },
					`carryOver threw (${errorText(error)}); the new generation starts without host fields`,
				);
				return {};
			}
		},
		meta: (given) => {
			const copy = checkJson(given, "meta");
			const seen = schemas?.meta && checkSchema(schemas.meta, copy, "meta");
			return seen instanceof Promise ? seen.then(() => copy) : copy;
		},
	};
}
