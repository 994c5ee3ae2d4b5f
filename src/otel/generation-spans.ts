/**
 * Owns the spans of generations, which runs link to. One has no length: a generation may last for months, and a span that is open is seen
 * by nobody. It is made when a generation begins, or with the first run here of one that began before.
 */
import type { SpanContext, Tracer } from "@opentelemetry/api";
import type { EndedGeneration, SessionRow } from "../../machines/facts.ts";
import { harmless } from "./harmless.ts";
import { attributes, ofSession, spans } from "./names.ts";
import type { Timing } from "./timing.ts";

interface Known {
	readonly generation: number;
	/** Null: nothing ran here while it lasted. */
	readonly context: SpanContext | null;
	/** How it ended, if it has. */
	readonly ended: Pick<EndedGeneration, "endedBy" | "reason"> | null;
}

/** Sessions whose generation is remembered; of one that is forgotten the next run makes another span. */
const most = 10_000;

export class GenerationSpans {
	readonly #tracer: Tracer;
	readonly #timing: Timing;
	/** By session key, the longest unused first. */
	readonly #known = new Map<string, Known>();

	constructor(tracer: Tracer, timing: Timing) {
		this.#tracer = tracer;
		this.#timing = timing;
	}

	ended({
		sessionKey,
		generation,
		endedBy,
		reason,
	}: EndedGeneration<unknown>): void {
		const known = this.#known.get(sessionKey);
		const context = known?.generation === generation ? known.context : null;
		this.#keep(sessionKey, {
			generation,
			context,
			ended: { endedBy, reason },
		});
	}

	/** A row of a session that has moved on since begins the next generation. */
	see(row: SessionRow<unknown>): void {
		const known = this.#known.get(row.sessionKey);
		if (known && known.generation < row.generation) this.of(row);
	}

	/** The span of a row's generation. */
	of(row: SessionRow<unknown>): SpanContext | null {
		const { sessionKey, generation } = row;
		const known = this.#known.get(sessionKey);
		if (known?.generation === generation && known.context) {
			this.#keep(sessionKey, known);
			return known.context;
		}
		const context = harmless(
			() =>
				this.#make(row, known?.generation === generation - 1 ? known : null),
			null,
		);
		this.#keep(sessionKey, { generation, context, ended: null });
		return context;
	}

	clear(): void {
		this.#known.clear();
	}

	#make(row: SessionRow<unknown>, before: Known | null): SpanContext {
		const at = this.#timing.at();
		const { endedBy, reason } = before?.ended ?? {};
		const span = this.#tracer.startSpan(spans.generation, {
			root: true,
			...(at === undefined ? {} : { startTime: at }),
			attributes: {
				...ofSession(row.sessionKey),
				[attributes.conversation]: row.sessionId,
				[attributes.generation]: row.generation,
				...(endedBy ? { [attributes.generationCause]: endedBy } : {}),
				...(reason ? { [attributes.generationReason]: reason } : {}),
			},
			links: before?.context
				? [
						{
							context: before.context,
							attributes: { [attributes.link]: "previous" },
						},
					]
				: [],
		});
		const context = span.spanContext();
		span.end(at);
		return context;
	}

	#keep(sessionKey: string, known: Known): void {
		this.#known.delete(sessionKey);
		this.#known.set(sessionKey, known);
		if (this.#known.size <= most) return;
		const [oldest] = this.#known.keys();
		if (oldest !== undefined) this.#known.delete(oldest);
	}
}
