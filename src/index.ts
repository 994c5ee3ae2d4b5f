/**
 * Entry point `turnkeeper`: the runtime, its contract and its errors.
 *
 * @module turnkeeper
 */
export type { OverlapMode } from "../machines/events.ts";
export type {
	ArchivedGeneration,
	EndedGeneration,
	Expectation,
	Message,
	QueuedMessage,
	RowFacts,
	SessionFacts,
	SessionRow,
	SessionStatus,
	StoredEntry,
	TranscriptEntry,
} from "../machines/facts.ts";
export type { JsonValue } from "../machines/json.ts";
export type {
	LifecycleReport,
	Refusal,
	ReportedRun,
	Verdict,
	VerdictKind,
} from "../machines/report.ts";
export type { RunFacts, RunRecord, Usage } from "../machines/run.ts";
export type { RunOutcome, RunTicket, StopCause } from "../machines/ticket.ts";
export type { Clock } from "./clock.ts";
export { createSessionRuntime } from "./embedded.ts";
export { type ErrorCode, RunAborted, TurnkeeperError } from "./errors.ts";
export type { Logger } from "./logger.ts";
export type {
	AdmitOptions,
	AdmittedRun,
	Answer,
	EmbeddedRuntime,
	ImportedSession,
	ManagedRun,
	OverlapPolicy,
	ProgressItem,
	ResetOptions,
	Run,
	RuntimeEvent,
	RuntimeOptions,
	RuntimeStats,
	Schemas,
	SendOptions,
	SendReceipt,
	SessionIdCause,
	SessionRuntime,
	Settled,
	Steering,
	StopOptions,
	StopReport,
} from "./runtime.ts";
export type {
	Batch,
	CommandKind,
	HiddenRun,
	ListQuery,
	LoadedSession,
	OpenStore,
	Page,
	PageQuery,
	Pruned,
	PruneRule,
	SessionStore,
	SessionWrite,
	StoredMessage,
	StoredRefusal,
	StoreReader,
	TranscriptQuery,
	UnreadableRow,
} from "./store.ts";
export { isPurged, UnreadableSession, VersionConflict } from "./store.ts";
