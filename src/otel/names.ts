/**
 * Owns every name that goes out. Attributes of messaging are those of the OpenTelemetry semantic conventions 1.45.0 (messaging: status
 * development), `gen_ai.*` those of the conventions for generative AI (status development), `error.type` is stable. What no convention
 * names is `turnkeeper.*`, by their rules for names and units.
 */

/** Of the instrumentation scope: every tracer and meter that is not the host's own. */
export const scope = "turnkeeper";
export const schemaUrl = "https://opentelemetry.io/schemas/1.45.0";

/** In names of spans, where the session key would make one name a session. */
const template = "{sessionKey}";

export const spans = {
	/** Messaging: `{messaging.operation.name} {messaging.destination.template}`. */
	send: `send ${template}`,
	run: `run ${template}`,
	generation: "generation",
	/** A report that was not applied and whose run is over, or unknown. */
	report: "report",
} as const;

export const attributes = {
	system: "messaging.system.name",
	operation: "messaging.operation.name",
	operationType: "messaging.operation.type",
	/** Holds the session key: on spans alone, never on a metric. */
	destination: "messaging.destination.name",
	destinationTemplate: "messaging.destination.template",
	messageId: "messaging.message.id",
	/** Only of a run that took several. */
	messages: "messaging.batch.message_count",
	/** Holds the session id: what the conversation is called elsewhere. */
	conversation: "gen_ai.conversation.id",
	inputTokens: "gen_ai.usage.input_tokens",
	outputTokens: "gen_ai.usage.output_tokens",
	/** The code of an error, or the outcome of a run that went wrong; `_OTHER` for what is not known. */
	error: "error.type",
	generation: "turnkeeper.generation.number",
	/** Why the one before it ended: reset, expiry or delete. */
	generationCause: "turnkeeper.generation.cause",
	generationReason: "turnkeeper.generation.reason",
	runId: "turnkeeper.run.id",
	attempt: "turnkeeper.run.attempt",
	outcome: "turnkeeper.run.outcome",
	stopCause: "turnkeeper.run.stop_cause",
	waits: "turnkeeper.run.waits",
	disposition: "turnkeeper.message.disposition",
	phase: "turnkeeper.report.phase",
	verdict: "turnkeeper.report.verdict",
	reason: "turnkeeper.report.reason",
	/** Which call was refused: send, admit or report. */
	refusedCall: "turnkeeper.refusal.call",
	/** The verdict on a report, or the code of an error. */
	refusalReason: "turnkeeper.refusal.reason",
	/** What a link leads to: message, caller, generation, parent or previous. */
	link: "turnkeeper.link.kind",
} as const;

export const events = {
	stopped: "turnkeeper.run.stopped",
	waiting: "turnkeeper.run.waiting",
	resumed: "turnkeeper.run.resumed",
	report: "turnkeeper.report",
} as const;

/** By the conventions: a value that is not one of a few. */
export const other = "_OTHER";

/** The attributes of all that concerns a session, for spans alone. */
export function ofSession(sessionKey: string) {
	return {
		[attributes.system]: scope,
		[attributes.destination]: sessionKey,
		[attributes.destinationTemplate]: template,
	};
}
