/**
 * Owns how a generation gives way to the next: when one that rests has expired, and what a reset brings that is not the caller's, the fresh
 * session id and the host's fields. Whether it takes effect is the machine's to say.
 */
import type { SessionEvent } from "../machines/events.ts";
import { type ExpiryPolicy, expiryOf } from "../machines/expiry.ts";
import { mismatchOf, type SessionFacts } from "../machines/facts.ts";
import type { JsonValue } from "../machines/json.ts";
import type { RuntimeClock } from "./clock.ts";
import type { SessionIdCause } from "./runtime.ts";

type ResetEvent = Extract<SessionEvent, { type: "reset" }>;

export interface RenewalOptions {
	readonly clock: RuntimeClock;
	readonly graceMs: number;
	readonly expiry: ExpiryPolicy | null;
	/** Set if the host has work of its own to do on a generation that ends. */
	readonly onGenerationEnded: unknown;
	readonly carryOver: (meta: JsonValue, cause: "reset" | "expiry") => JsonValue;
	readonly sessionId: (
		sessionKey: string,
		generation: number,
		cause: SessionIdCause,
	) => string;
}

export class Renewal {
	readonly #options: RenewalOptions;

	constructor(options: RenewalOptions) {
		this.#options = options;
	}

	/** A run that is live is no rest, and its end is activity. */
	reasonToExpire(facts: SessionFacts): string | null {
		const { expiry } = this.#options;
		const { takenAt } = facts;
		if (!expiry || takenAt === null) return null;
		const at = this.#options.clock.now();
		const activeAt = facts.run ? at : facts.activeAt;
		return expiryOf(expiry, { activeAt, takenAt }, at);
	}

	/** Asked before a message is taken, and before any other write that finds no live run. */
	expiry(facts: SessionFacts): SessionEvent | null {
		if (facts.run || facts.hidden) return null;
		const reason = this.reasonToExpire(facts);
		if (reason === null) return null;
		const at = this.#options.clock.now();
		const deadline = at + this.#options.graceMs;
		return this.resetOf(facts, {
			cause: "expiry",
			at,
			reason,
			deadline,
			queued: "keep",
			expect: undefined,
		});
	}

	/** The event of a reset, with what the host's functions give it; one that is stale asks the host for nothing. */
	resetOf(
		facts: SessionFacts,
		how: Pick<
			ResetEvent,
			"cause" | "at" | "reason" | "deadline" | "queued" | "expect"
		>,
		given: { readonly sessionId?: string; readonly meta?: JsonValue } = {},
	): ResetEvent {
		const { sessionKey, hidden, generation, version, meta } = facts;
		const applies = mismatchOf(facts, how.expect) === null;
		const freshId = () =>
			this.#options.sessionId(
				sessionKey,
				hidden ? generation : generation + 1,
				version === 0 ? "first" : how.cause,
			);
		const carried = () =>
			hidden ? {} : this.#options.carryOver(meta, how.cause);
		return {
			...how,
			type: "reset",
			sessionId: given.sessionId ?? (applies ? freshId() : ""),
			meta: given.meta ?? (applies ? carried() : {}),
			hook: this.hasHook,
		};
	}

	/** Whether the host has work of its own to do on what ends. */
	get hasHook(): boolean {
		return Boolean(this.#options.onGenerationEnded);
	}
}
