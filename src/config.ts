/** Owns the options of a runtime once they are checked and have their defaults. */
import type { OverlapMode } from "../machines/events.ts";
import type { JsonValue } from "../machines/json.ts";
import {
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
import { type Clock, systemClock } from "./clock.ts";
import { errorText } from "./errors.ts";
import { freshSessionId, risingId } from "./ids.ts";
import { consoleLogger, guarded, type Logger } from "./logger.ts";
import type { RuntimeOptions, Schemas } from "./runtime.ts";
import type { SessionStore } from "./store.ts";

export const overlapModes = ["reject", "enqueue"] as const;

export interface Config<Input, Output, Meta> {
	readonly store: SessionStore;
	readonly schemas: Schemas<Input, Output, Meta> | null;
	readonly execute: RuntimeOptions<Input, Output, Meta>["execute"] | null;
	readonly overlap: OverlapMode;
	readonly capacity: number;
	readonly graceMs: number;
	readonly passivateAfterMs: number;
	readonly maxResident: number;
	readonly clock: Clock;
	readonly logger: Logger;
	readonly runId: () => string;
	readonly sessionId: (
		sessionKey: string,
		generation: number,
		cause: "first" | "reset" | "rotate",
	) => string;
	/** What a new generation keeps of the host's fields. Never throws: host functions never refuse a reset, nor do they lose an end. */
	readonly carryOver: (meta: JsonValue) => JsonValue;
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
	const overlap = options.overlap ?? "enqueue";
	const policy = typeof overlap === "string" ? { mode: overlap } : overlap;
	const logger = guarded(
		checkMethods(options.logger ?? consoleLogger, "options.logger", [
			"debug",
			"info",
			"warn",
			"error",
		]),
	);
	if (carryOver !== undefined && typeof carryOver !== "function")
		throw invalid(
			`options.carryOver is ${shown(carryOver)}; it must be a function`,
		);
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
			return checkName(make(), `what ${name}() returned`);
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
		overlap: checkChoice(policy.mode, "options.overlap", overlapModes),
		capacity: checkCount(policy.capacity ?? 1000, "options.overlap.capacity"),
		graceMs: checkMs(options.graceMs ?? 5000, "options.graceMs"),
		passivateAfterMs: checkMs(
			options.passivateAfterMs ?? 60_000,
			"options.passivateAfterMs",
		),
		maxResident: checkCount(
			options.maxResident ?? 10_000,
			"options.maxResident",
		),
		clock: checkMethods(options.clock ?? systemClock, "options.clock", [
			"now",
			"setTimeout",
			"clearTimeout",
		]),
		logger,
		runId: () =>
			hosts("ids.runId", ids?.runId && (() => ids.runId?.()), risingId),
		sessionId: (sessionKey, generation, cause) =>
			hosts(
				"ids.sessionId",
				ids?.sessionId &&
					(() => ids.sessionId?.({ sessionKey, generation, cause })),
				freshSessionId,
			),
		carryOver: (meta) => {
			if (!carryOver) return {};
			try {
				return checkJson(
					carryOver(copied(meta) as Meta, "reset"),
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
