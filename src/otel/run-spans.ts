/**
 * Owns the spans of runs: which are open, and which have ended lately, so that what comes late finds them. A span opens with the commit that
 * made its run live and ends with the one that settled it; a run of a process that died has its span from the next.
 */
import {
	type Link,
	SpanKind,
	type SpanOptions,
	type Tracer,
	trace,
} from "@opentelemetry/api";
import type { SessionRow } from "../../machines/facts.ts";
import type { Refusal } from "../../machines/report.ts";
import type { RunRecord } from "../../machines/run.ts";
import type { RunTicket } from "../../machines/ticket.ts";
import type { GenerationSpans } from "./generation-spans.ts";
import { harmless } from "./harmless.ts";
import type { MessageLinks } from "./message-links.ts";
import type { Metrics } from "./metrics.ts";
import { attributes, ofSession, spans } from "./names.ts";
import type { Timing } from "./timing.ts";
import { type LinkKind, reportAttributes, TracedRun } from "./traced-run.ts";

export type { TracedRun } from "./traced-run.ts";

/** Runs that ended and are remembered, the newest. */
const most = 1000;

export class RunSpans {
	readonly #tracer: Tracer;
	readonly #timing: Timing;
	readonly #metrics: Metrics;
	readonly #generations: GenerationSpans;
	readonly #messages: MessageLinks;
	/** By run id: those that are open, and the newest that have ended. */
	readonly #named = new Map<string, readonly TracedRun[]>();
	/** Those that have ended, the oldest first. */
	readonly #over = new Set<TracedRun>();

	constructor(parts: {
		readonly tracer: Tracer;
		readonly timing: Timing;
		readonly metrics: Metrics;
		readonly generations: GenerationSpans;
		readonly messages: MessageLinks;
	}) {
		this.#tracer = parts.tracer;
		this.#timing = parts.timing;
		this.#metrics = parts.metrics;
		this.#generations = parts.generations;
		this.#messages = parts.messages;
	}

	find(ticket: RunTicket): TracedRun | undefined {
		return this.#named.get(ticket.runId)?.find((run) => run.is(ticket));
	}

	/** A row that was committed, and the messages that the same commit gave to its run. */
	see(row: SessionRow<unknown>, taken: readonly string[]): void {
		const { activeRun } = row;
		if (!activeRun) return;
		const { sessionKey } = row;
		const known = this.find(activeRun);
		const run = known ?? this.#begin(row, activeRun, taken);
		for (const messageId of taken) {
			const sent = this.#messages.take(sessionKey, messageId);
			if (sent) run.linkTo(sent, "message");
			this.#messages.tell(sessionKey, messageId, run);
		}
		run.see(row);
	}

	settle(record: RunRecord): void {
		const known = this.find(record);
		// A record may be completed after its run has settled.
		if (known?.isOver) return;
		const run = known ?? this.#missed(record);
		run.isOver = true;
		this.#over.add(run);
		harmless(() => this.#count(run, record), undefined);
		const { parent } = record;
		const spawner = parent && this.find(parent);
		if (spawner) run.linkTo(spawner.spanContext, "parent");
		this.#forget();
		run.settle(record);
	}

	/** A report that was not applied is an event of its run, or has a span of its own if that is over or not known. */
	refuse(refusal: Refusal): void {
		const run = this.#meant(refusal.report);
		if (run && !run.isOver) {
			run.refuse(refusal);
			return;
		}
		const at = this.#timing.at();
		const { sessionKey } = run?.ticket ?? refusal.report ?? {};
		const options: SpanOptions = {
			...this.#startsAt(at),
			attributes: {
				// A malformed report may say anything.
				...(typeof sessionKey === "string" ? ofSession(sessionKey) : {}),
				...reportAttributes(refusal),
			},
		};
		const span = run
			? this.#tracer.startSpan(spans.report, options, run.context)
			: this.#tracer.startSpan(spans.report, { ...options, root: true });
		span.end(at);
	}

	/** Nobody will be told of the end of those that are open. */
	close(): void {
		for (const run of [...this.#named.values()].flat())
			if (!run.isOver) harmless(() => run.end(), undefined);
		this.#named.clear();
		this.#over.clear();
	}

	#count({ began }: TracedRun, record: RunRecord): void {
		const { stoppedAt } = record;
		this.#metrics.ended(
			record,
			began === null ? null : this.#timing.since(began),
			stoppedAt === null
				? null
				: Math.max(0, this.#timing.now() - stoppedAt) / 1000,
		);
	}

	#begin(
		row: SessionRow<unknown>,
		ticket: RunTicket,
		taken: readonly string[],
	): TracedRun {
		const generation = this.#generations.of(row);
		const run = this.#open(ticket, {
			taken,
			began: this.#timing.monotonic(),
			at: this.#timing.at(),
			links: generation ? [linkTo(generation, "generation")] : [],
		});
		this.#metrics.started();
		return run;
	}

	/** It was live in another process, or for no longer than one commit. */
	#missed(record: RunRecord): TracedRun {
		return this.#open(record, {
			taken: record.messageIds,
			began: null,
			at: record.startedAt ?? this.#timing.at(),
			links: [],
		});
	}

	#open(
		{ sessionKey, sessionId, generation, runId, attempt }: RunTicket,
		how: {
			readonly taken: readonly string[];
			readonly began: number | null;
			readonly at: number | undefined;
			readonly links: Link[];
		},
	): TracedRun {
		const { taken } = how;
		const options: SpanOptions = {
			root: true,
			...this.#startsAt(how.at),
			kind: taken.length > 0 ? SpanKind.CONSUMER : SpanKind.INTERNAL,
			links: how.links,
			attributes: {
				...ofSession(sessionKey),
				[attributes.operation]: "run",
				...(taken.length > 0 ? { [attributes.operationType]: "process" } : {}),
				...messagesOf(taken),
				[attributes.conversation]: sessionId,
				[attributes.generation]: generation,
				[attributes.runId]: runId,
				[attributes.attempt]: attempt,
			},
		};
		const span = harmless(
			() => this.#tracer.startSpan(spans.run, options),
			silent,
		);
		const ticket = { sessionKey, sessionId, generation, runId, attempt };
		const run = new TracedRun(ticket, span, how.began, this.#timing);
		this.#named.set(runId, [...(this.#named.get(runId) ?? []), run]);
		return run;
	}

	#startsAt(at: number | undefined) {
		return at === undefined ? {} : { startTime: at };
	}

	/** The run that a report names, as far as it is known; a malformed one may say anything. */
	#meant(report: Partial<Refusal["report"]> | null): TracedRun | undefined {
		const { runId, sessionKey, generation, attempt } = report ?? {};
		if (typeof runId !== "string") return undefined;
		return this.#named
			.get(runId)
			?.findLast(
				({ ticket }) =>
					(sessionKey ?? ticket.sessionKey) === ticket.sessionKey &&
					(generation ?? ticket.generation) === ticket.generation &&
					(attempt ?? ticket.attempt) === ticket.attempt,
			);
	}

	#forget(): void {
		if (this.#over.size <= most) return;
		const [oldest] = this.#over;
		if (!oldest) return;
		this.#over.delete(oldest);
		const { runId } = oldest.ticket;
		const others = this.#named.get(runId)?.filter((run) => run !== oldest);
		if (others && others.length > 0) this.#named.set(runId, others);
		else this.#named.delete(runId);
	}
}

/** Of a run whose tracer threw. */
const silent = trace.wrapSpanContext({
	traceId: "0".repeat(32),
	spanId: "0".repeat(16),
	traceFlags: 0,
});

function linkTo(context: Link["context"], kind: LinkKind): Link {
	return { context, attributes: { [attributes.link]: kind } };
}

/** One is named; of several only how many there are. */
function messagesOf(ids: readonly string[]) {
	const [first] = ids;
	if (first === undefined) return {};
	return ids.length === 1
		? { [attributes.messageId]: first }
		: { [attributes.messages]: ids.length };
}
