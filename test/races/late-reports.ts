/** Owns the ways in which a late report may come (SE-01): what it says of its run, of the session, of time, and what it reports. */
import type { RunTicket } from "turnkeeper";

export const identities: Record<string, (ticket: RunTicket) => object> = {
	"the ticket": (ticket) => ticket,
	"key and run id": ({ sessionKey, runId }) => ({ sessionKey, runId }),
	"run id alone": ({ runId }) => ({ runId }),
};
export const sessionIds = {
	"a fresh session id": "S2",
	"the session id kept": "S1",
};
export const times: Record<
	string,
	(now: number) => { startedAt?: number; endedAt?: number }
> = {
	"no times": () => ({}),
	"equal times": (now) => ({ startedAt: now, endedAt: now }),
	"times of a clock that stepped back": (now) => ({
		startedAt: now - 3_600_000,
		endedAt: now - 3_590_000,
	}),
	"times of a clock that runs ahead": (now) => ({
		startedAt: now + 3_600_000,
		endedAt: now + 3_610_000,
	}),
};
export const phases = {
	start: { phase: "start" },
	end: { phase: "end", usage: { inputTokens: 7, outputTokens: 9 } },
	error: { phase: "error", error: "context overflow" },
};
