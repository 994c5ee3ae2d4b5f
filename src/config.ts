/** Owns the options of a runtime once they are checked and have their defaults. */
import type { OverlapMode } from "../machines/events.ts";
import type { JsonValue } from "../machines/json.ts";
import {
	checkChoice,
	checkCount,
	checkJson,
	checkMs,
	checkName,
	checkSchema,
	invalid,
	shown,
} from "./arguments.ts";
import { type Clock, systemClock } from "./clock.ts";
import { errorText } from "./errors.ts";
import { freshSessionId, risingId } from "./ids.ts";
import { consoleLogger, type Logger } from "./logger.ts";
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
	/** What a new generation keeps of the host's fields. Never throws: host functions never refuse a reset. */
	readonly carryOver: (meta: JsonValue) => JsonValue;
	/** Checks fields that the host gave, and copies them. */
	readonly meta: (given: unknown, name: string) => Promise<JsonValue>;
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
	const logger = options.logger ?? consoleLogger;
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
		clock: options.clock ?? systemClock,
		logger,
		runId: ids?.runId
			? () => checkName(ids.runId?.(), "what ids.runId() returned")
			: risingId,
		sessionId: ids?.sessionId
			? (sessionKey, generation, cause) =>
					checkName(
						ids.sessionId?.({ sessionKey, generation, cause }),
						"what ids.sessionId() returned",
					)
			: freshSessionId,
		carryOver: (meta) => {
			if (!carryOver) return {};
			try {
				return checkJson(
					carryOver(meta as Meta, "reset"),
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
		meta: async (given, name) => {
			const copy = checkJson(given, name);
			if (schemas?.meta) await checkSchema(schemas.meta, copy, name);
			return copy;
		},
	};
}
