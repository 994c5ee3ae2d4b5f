/** Owns the options of the services once they are checked, with what a call of a session's object is given besides: its ids, its time. */
import type { Config } from "../config.ts";
import type { SessionIdCause } from "../runtime.ts";

/** Ids that nobody has used, and that are the same when Restate plays a call again. */
interface FreshIds {
	/** Rises with time. */
	id(): string;
	uuid(): string;
}

export interface ServicesConfig<Input, Output, Meta>
	extends Config<Input, Output, Meta> {
	/** The time that a call brings to a session, epoch ms. */
	readonly nowFor: (sessionKey: string) => number;
	readonly idsFor: (
		sessionKey: string,
		fresh: FreshIds,
	) => {
		runId(): string;
		sessionId(
			sessionKey: string,
			generation: number,
			cause: SessionIdCause,
		): string;
	};
	/** How long Restate is to wait for what is due after so many ms of a session's time. */
	readonly waitFor: (sessionKey: string, ms: number) => number;
}

/** How long an answer may take that waits for no run, in ms. */
export const defaultTimeoutMs = 30_000;

/** A session waits for each of its calls and for each of its runs, so Restate must not give one up. Attempts: more than a server lives for. */
export const untilItHolds = {
	initialInterval: 50,
	maxInterval: 2000,
	maxAttempts: 1_000_000_000,
} as const;

/** Time of the system, ids of Restate; who plays generated paths gives its own. */
export const systemSource: Pick<
	ServicesConfig<never, never, never>,
	"idsFor" | "nowFor" | "waitFor"
> = {
	nowFor: () => Date.now(),
	idsFor: (_, { id, uuid }) => ({ runId: id, sessionId: uuid }),
	waitFor: (_, ms) => ms,
};
