/**
 * Entry point `turnkeeper/machines`: what is decided, with no engine.
 *
 * @module turnkeeper/machines
 */
export { type Chart, type ChartArrow, sessionChart } from "./chart.ts";
export type { SessionContext } from "./effects.ts";
export type {
	MessageFate,
	Overlap,
	OverlapMode,
	Reply,
	SessionEffects,
	SessionEvent,
} from "./events.ts";
export {
	type DailyExpiry,
	type ExpiryPolicy,
	expiryOf,
	type RestingSince,
} from "./expiry.ts";
export {
	type ArchivedGeneration,
	type ChildOf,
	type ClosingGeneration,
	type DrainingRun,
	type EndedGeneration,
	type Expectation,
	isBusy,
	isDraining,
	isUnsettled,
	type LastRun,
	type Message,
	mismatchOf,
	type QueuedMessage,
	type RowFacts,
	rowOf,
	type SessionFacts,
	type SessionRow,
	type SessionStatus,
	type StoredEntry,
	statusOf,
	type TranscriptEntry,
	unusedFacts,
} from "./facts.ts";
export { type JsonValue, mergePatch } from "./json.ts";
export { sessionMermaid } from "./mermaid.ts";
export {
	contradictionOf,
	findRun,
	type Judgement,
	judge,
	judgeStored,
	type LifecycleReport,
	matchesRun,
	type Refusal,
	type ReportedRun,
	type Verdict,
	type VerdictKind,
} from "./report.ts";
export {
	type Delivery,
	openWaits,
	ownsRun,
	type RunEnd,
	type RunEvent,
	type RunFacts,
	type RunRecord,
	type RunShown,
	type RunSnapshot,
	type RunStop,
	type RunWait,
	runLogic,
	runRecordOf,
	stepRun,
	ticketOf,
	type Usage,
	type WaitAnswer,
	workedMs,
} from "./run.ts";
export { sessionMachine, stateOf } from "./session.ts";
export {
	type RunOutcome,
	type RunTicket,
	type StopCause,
	ticketId,
} from "./ticket.ts";
