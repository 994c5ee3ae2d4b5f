/**
 * Owns what a gateway says, as far as it concerns the lifecycle of runs: frames in one form, whether they come over a live connection or out
 * of a recording, and what a frame alone means to the replay. Never looks at two frames together.
 */

/** An object that somebody else wrote. */
export type Frame = Readonly<Record<string, unknown>>;

/**
 * An event of the gateway's protocol as the recordings have it, or null if it does not concern the lifecycle. Both generations of the
 * protocol say the same in two places: a row is under `session`, or, where that is left out, is the payload itself.
 */
export function frameOf(event: Frame, at: number): Frame | null {
	const payload = objectIn(event.payload);
	if (!payload) return null;
	const { runId, sessionKey, sessionId, phase, reason } = payload;
	if (event.event === "agent" && payload.stream === "lifecycle")
		return {
			sessionId,
			...objectIn(payload.data),
			at,
			kind: "lifecycle",
			runId,
			sessionKey,
		};
	if (event.event !== "sessions.changed") return null;
	const row = objectIn(payload.session) ?? payload;
	return { at, kind: "row", reason, phase, runId, sessionKey, row };
}

function objectIn(value: unknown): Frame | null {
	return typeof value === "object" && value !== null && !Array.isArray(value)
		? (value as Frame)
		: null;
}

/** The line of the replay's format that a frame stands for by itself, or null. */
export function fromFrame(frame: Frame): Frame | null {
	const { at, sessionKey } = frame;
	if (frame.kind === "row") {
		const { row } = frame;
		return sessionKey === undefined
			? null
			: { at, type: "row", sessionKey, row };
	}
	if (frame.kind !== "lifecycle") return null;
	const { runId, sessionId, startedAt, endedAt } = frame;
	const report = { at, runId, sessionKey, sessionId, startedAt };
	if (frame.phase === "start") return { ...report, type: "start" };
	if (frame.phase !== "end" && frame.phase !== "error") return null;
	if (frame.aborted === true)
		return { ...report, type: "end", outcome: "aborted", endedAt };
	return frame.phase === "end"
		? { ...report, type: "end", endedAt }
		: { ...report, type: "error", endedAt, error: frame.error };
}
