/** Owns the span of one run: what it says from its begin to its end. Never looks at anything but what it is told. */
import {
	type Context,
	ROOT_CONTEXT,
	type Span,
	type SpanContext,
	SpanStatusCode,
	trace,
} from "@opentelemetry/api";
import type { SessionRow } from "../../machines/facts.ts";
import type { Refusal } from "../../machines/report.ts";
import type { RunRecord } from "../../machines/run.ts";
import type { RunOutcome, RunTicket } from "../../machines/ticket.ts";
import { phaseOf } from "./metrics.ts";
import { attributes, events } from "./names.ts";
import type { Timing } from "./timing.ts";

/** What a link leads to. */
export type LinkKind = "message" | "caller" | "generation" | "parent";

export class TracedRun {
	readonly ticket: RunTicket;
	/** What runs in it is a child of the span. */
	readonly context: Context;
	/** On the monotonic clock; null: that was not seen. */
	readonly began: number | null;
	isOver = false;
	readonly #span: Span;
	readonly #timing: Timing;
	#sessionId: string;
	#isWaiting = false;

	constructor(
		ticket: RunTicket,
		span: Span,
		began: number | null,
		timing: Timing,
	) {
		this.ticket = ticket;
		this.context = trace.setSpan(ROOT_CONTEXT, span);
		this.began = began;
		this.#span = span;
		this.#timing = timing;
		this.#sessionId = ticket.sessionId;
	}

	get spanContext(): SpanContext {
		return this.#span.spanContext();
	}

	is(ticket: Pick<RunTicket, "sessionKey" | "generation" | "attempt">) {
		const own = this.ticket;
		return (
			own.sessionKey === ticket.sessionKey &&
			own.generation === ticket.generation &&
			own.attempt === ticket.attempt
		);
	}

	linkTo(context: SpanContext, kind: LinkKind): void {
		this.#span.addLink({ context, attributes: { [attributes.link]: kind } });
	}

	/** The row of its session while it is live. */
	see({ activeRun, waits }: SessionRow<unknown>): void {
		this.#rotate(activeRun?.sessionId ?? this.#sessionId);
		const isWaiting = waits.length > 0;
		if (isWaiting === this.#isWaiting) return;
		this.#isWaiting = isWaiting;
		this.#tell(
			isWaiting ? events.waiting : events.resumed,
			isWaiting ? { [attributes.waits]: [...waits] } : {},
		);
	}

	/** A report about it was not applied. */
	refuse(refusal: Refusal): void {
		this.#tell(events.report, reportAttributes(refusal));
	}

	settle(record: RunRecord): void {
		const { outcome, stoppedBy, stoppedAt, error } = record;
		this.#rotate(record.sessionId);
		this.#span.setAttributes({
			[attributes.outcome]: outcome ?? undefined,
			[attributes.inputTokens]: record.inputTokens,
			[attributes.outputTokens]: record.outputTokens,
			[attributes.stopCause]: stoppedBy ?? undefined,
		});
		if (stoppedBy)
			this.#span.addEvent(
				events.stopped,
				{ [attributes.stopCause]: stoppedBy },
				stoppedAt ?? this.#timing.at(),
			);
		if (outcome && wentWrong.has(outcome)) {
			this.#span.setAttribute(attributes.error, outcome);
			this.#span.setStatus({
				code: SpanStatusCode.ERROR,
				...(error === null ? {} : { message: error }),
			});
		}
		this.end();
	}

	end(): void {
		this.#span.end(this.#timing.at());
	}

	#rotate(sessionId: string): void {
		if (sessionId === this.#sessionId) return;
		this.#sessionId = sessionId;
		this.#span.setAttribute(attributes.conversation, sessionId);
	}

	#tell(name: string, details: Parameters<Span["addEvent"]>[1]): void {
		this.#span.addEvent(name, details, this.#timing.at());
	}
}

/** That somebody told a run to stop, and it did, is no error. */
const wentWrong: ReadonlySet<RunOutcome> = new Set([
	"failed",
	"timeout",
	"interrupted",
	"abandoned",
]);

export function reportAttributes({ verdict, reason, report }: Refusal) {
	return {
		[attributes.phase]: phaseOf(report),
		[attributes.verdict]: verdict,
		[attributes.reason]: reason,
	};
}
