/** Owns what the page knows of the one session that it shows. Each part is what the host said last. Shows nothing. */
import { createAtom } from "@xstate/store";
import type { Said, SessionParts } from "../protocol.ts";

/** A time in which a run was seen to wait for an answer. */
export interface SeenWait {
	readonly runId: string;
	readonly names: readonly string[];
	readonly from: number;
	/** Null: it still waits. */
	readonly to: number | null;
}

export interface WatchedSession extends SessionParts {
	readonly sessionKey: string;
	readonly waits: readonly SeenWait[];
}

export class Watched {
	/** Null until its parts have come. */
	readonly session = createAtom<WatchedSession | null>(null);
	/** Why it cannot be shown. */
	readonly trouble = createAtom<string | null>(null);
	#key: string | null = null;

	/** Begins with another session, or none. */
	begin(sessionKey: string | null): void {
		if (sessionKey !== this.#key) this.session.set(null);
		this.#key = sessionKey;
		this.trouble.set(null);
	}

	take({ sessionKey, parts }: Extract<Said, { say: "session" }>): void {
		if (sessionKey !== this.#key) return;
		this.trouble.set(null);
		const before = this.session.get() ?? {
			...nothing,
			sessionKey,
			waits: [],
		};
		const now = { ...before, ...parts };
		this.session.set({ ...now, waits: waitsOf(before.waits, now) });
	}
}

const none = { items: [], more: false };
const nothing: SessionParts = {
	row: null,
	state: null,
	transition: null,
	generations: none,
	runs: none,
	refusals: none,
	queue: none,
	transcript: none,
};

/** Of a wait that is over only that it was is kept, not when: those that were seen are remembered here. */
function waitsOf(
	before: readonly SeenWait[],
	{ row, runs }: SessionParts,
): readonly SeenWait[] {
	const waiting = runs.items.find(({ waitingSince }) => waitingSince !== null);
	const since = waiting?.waitingSince ?? null;
	const open = before.find(({ to }) => to === null);
	if (open?.from === since) return before;
	const over = before.map((wait) =>
		wait.to === null
			? { ...wait, to: Math.max(wait.from, row?.updatedAt ?? wait.from) }
			: wait,
	);
	return waiting && since !== null
		? [
				...over,
				{
					runId: waiting.runId,
					names: row?.waits ?? [],
					from: since,
					to: null,
				},
			]
		: over;
}
