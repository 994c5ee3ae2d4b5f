/**
 * Owns what a bystander can know of a gateway: it sees reports and rows, and neither the commands of others nor their answers. So a run is
 * accepted when it first starts, a reset or a delete is seen in the row that tells of it, and a session is not judged before the first of
 * these was seen. Rather says nothing than something false.
 */
import type { NumberedValue } from "../replay/json-lines.ts";
import { type Frame, fromFrame } from "./frames.ts";

interface Watched {
	/** Something was seen since when its runs are known. */
	isKnown: boolean;
	/** Runs that have started and not ended, those of before a reset included. */
	readonly live: Set<string>;
	/** Rows that claim a run which has no name yet, and whatever rows came after them. */
	held: Frame[];
}

/** A row that claims a run waits so long for a report that names it, in ms: a host publishes it when it is promised. */
const patienceMs = 30_000;

/** Runs whose start is remembered, the newest. */
const most = 10_000;

/** Lines of the replay's own format, of frames as a bystander sees them. */
export async function* watchedLines(
	frames: AsyncIterable<Frame>,
): AsyncGenerator<NumberedValue> {
	const lines = new WatchedLines();
	let line = 0;
	for await (const frame of frames)
		for (const value of lines.take(frame)) {
			line += 1;
			yield { line, value };
		}
	for (const value of lines.end()) {
		line += 1;
		yield { line, value };
	}
}

class WatchedLines {
	readonly #sessions = new Map<string, Watched>();
	/** By session key, the longest first: those with rows that are held. */
	readonly #holding = new Map<string, number>();
	readonly #started = new Set<string>();

	*take(frame: Frame): Generator<unknown> {
		yield* this.#losePatience(Number(frame.at));
		if (frame.kind === "gap") {
			// What was missed may have been anything.
			this.#holding.clear();
			this.#sessions.clear();
			return;
		}
		const { sessionKey } = frame;
		if (typeof sessionKey !== "string") {
			const line = fromFrame(frame);
			if (line) yield line;
			return;
		}
		if (frame.kind === "lifecycle") yield* this.#report(sessionKey, frame);
		else if (frame.kind === "row") yield* this.#row(sessionKey, frame);
	}

	*end(): Generator<unknown> {
		yield* this.#losePatience(Number.POSITIVE_INFINITY);
	}

	*#report(sessionKey: string, frame: Frame): Generator<unknown> {
		const line = fromFrame(frame);
		if (!line) return;
		const session = this.#session(sessionKey);
		const runId = String(frame.runId);
		const isStart = line.type === "start";
		// A terminal of a run that was never seen is news of a run only where a row has promised one.
		if (!this.#started.has(runId) && (isStart || session.held.length > 0)) {
			const at = session.held[0]?.at ?? frame.at;
			const { sessionId } = frame;
			yield { at, type: "accepted", sessionKey, runId, sessionId };
			this.#remember(runId);
		}
		yield* this.#release(sessionKey, session);
		if (isStart) session.live.add(runId);
		else session.live.delete(runId);
		session.isKnown = true;
		// That it was told to stop, a bystander learns when it has.
		if (line.outcome === "aborted")
			yield { at: frame.at, type: "abort", sessionKey, runId };
		yield line;
	}

	*#row(sessionKey: string, frame: Frame): Generator<unknown> {
		const { at, reason } = frame;
		const session = this.#session(sessionKey);
		const row = (frame.row ?? {}) as Frame;
		if (reason === "delete" || reason === "reset" || reason === "new") {
			yield* this.#release(sessionKey, session);
			session.isKnown = true;
			if (reason === "delete") {
				yield { at, type: "delete", sessionKey };
				return;
			}
			const { sessionId } = row;
			yield { at, type: "reset", sessionKey, sessionId, reason };
		}
		const claims = row.status === "running" || row.hasActiveRun === true;
		if (reason === "create" && !claims) session.isKnown = true;
		if (!session.isKnown) return;
		if (session.held.length > 0 || (claims && session.live.size === 0)) {
			session.held.push(frame);
			if (!this.#holding.has(sessionKey))
				this.#holding.set(sessionKey, Number(at));
			return;
		}
		yield fromFrame(frame);
	}

	/** Rows that were held, in their order. */
	*#release(sessionKey: string, session: Watched): Generator<unknown> {
		this.#holding.delete(sessionKey);
		for (const held of session.held.splice(0)) yield fromFrame(held);
	}

	*#losePatience(now: number): Generator<unknown> {
		for (const [sessionKey, since] of this.#holding) {
			if (now - since < patienceMs) return;
			yield* this.#release(sessionKey, this.#session(sessionKey));
		}
	}

	#session(sessionKey: string): Watched {
		const known = this.#sessions.get(sessionKey);
		if (known) return known;
		const session: Watched = { isKnown: false, live: new Set(), held: [] };
		this.#sessions.set(sessionKey, session);
		return session;
	}

	#remember(runId: string): void {
		this.#started.add(runId);
		if (this.#started.size <= most) return;
		const [oldest] = this.#started;
		if (oldest !== undefined) this.#started.delete(oldest);
	}
}
