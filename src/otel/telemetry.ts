/**
 * Owns the telemetry of one runtime: what its feed tells becomes spans and metrics, and doors before its calls, its executor and its store
 * add what the feed cannot know. Uses what every host can, and changes no call and no answer.
 */
import {
	context,
	type Meter,
	metrics as metricsApi,
	type SpanContext,
	SpanKind,
	SpanStatusCode,
	type Tracer,
	trace,
} from "@opentelemetry/api";
import type { Subscription } from "xstate";
import type { RunRecord } from "../../machines/run.ts";
import type { RunTicket } from "../../machines/ticket.ts";
import { checkMethods, checkOptions, invalid, shown } from "../arguments.ts";
import { behind } from "../behind.ts";
import type {
	AdmitOptions,
	AdmittedRun,
	EmbeddedRuntime,
	ManagedRun,
	RuntimeEvent,
	SendOptions,
	SendReceipt,
} from "../runtime.ts";
import type { SessionStore } from "../store.ts";
import { GenerationSpans } from "./generation-spans.ts";
import { harmless } from "./harmless.ts";
import { measuredStore } from "./measured-store.ts";
import { MessageLinks } from "./message-links.ts";
import { codeOf, Metrics } from "./metrics.ts";
import { attributes, ofSession, schemaUrl, scope, spans } from "./names.ts";
import { RunSpans } from "./run-spans.ts";
import { type TelemetryClock, Timing } from "./timing.ts";

/** All are optional: without an SDK that is registered, OpenTelemetry's API does nothing. */
export interface TelemetryOptions {
	/** Default: `trace.getTracer("turnkeeper")`. */
	tracer?: Tracer;
	/** Default: `metrics.getMeter("turnkeeper")`. Two runtimes in one process need one each, by another name: gauges have no attributes to tell them apart. */
	meter?: Meter;
	/** The runtime's own clock, if it was given one: by it spans and drains are timed. Default: as the SDK tells time. */
	clock?: TelemetryClock;
}

/** The telemetry of one runtime. */
export interface Telemetry extends Disposable {
	/**
	 * The runtime, looked at: what `send` and `admit` are called in is what the span of the run links to. What is called on the one that
	 * was given is counted all the same, but its messages have no span. Before it starts, so that nothing is missed; once closed, it is looked
	 * at no more.
	 *
	 * @throws INVALID_ARGUMENT for what is no runtime in this process, and for a second one
	 */
	runtime<Input, Output, Meta>(
		runtime: EmbeddedRuntime<Input, Output, Meta>,
	): EmbeddedRuntime<Input, Output, Meta>;
	/** An executor that runs in the span of its run, so that the spans of a model's client are its children. Measures how long messages waited. */
	executor<Input, Output, Meta>(
		execute: (run: ManagedRun<Input, Meta>) => Promise<Output> | Output,
	): (run: ManagedRun<Input, Meta>) => Promise<Output> | Output;
	/**
	 * Acts in the span of a run, such as one that the host drives; outside of any if that run is not known or over.
	 *
	 * @example const run = await runtime.admit(key); await telemetry.within(run, () => agent(run.signal));
	 */
	within<Result>(
		run: { readonly ticket: RunTicket },
		act: () => Result,
	): Result;
	/** A store whose commits are measured: how many sessions are in one, and how long it takes. */
	store(store: SessionStore): SessionStore;
	/** Looks no more; spans that are open end. The runtime goes on. Idempotent. */
	stop(): void;
}

/**
 * OpenTelemetry of one runtime: a span for each run, linked to the message that caused it and to its generation, and metrics. What is left
 * out costs nothing: with `runtime` alone there are spans and all metrics but those of commits and waiting. Names are in the README, and by the
 * semantic conventions 1.45.0.
 *
 * @example
 * const telemetry = createTelemetry();
 * const runtime = telemetry.runtime(
 *   createSessionRuntime({
 *     store: telemetry.store(sqliteStore("sessions.db")),
 *     execute: telemetry.executor(async (run) => answer(run.messages, run.signal)),
 *   }),
 * );
 * await runtime.start();
 * @throws INVALID_ARGUMENT
 */
export function createTelemetry(options?: TelemetryOptions): Telemetry {
	const {
		tracer = trace
			.getTracerProvider()
			.getTracer(scope, undefined, { schemaUrl }),
		meter = metricsApi.getMeter(scope, undefined, { schemaUrl }),
		clock,
	} = checkOptions(options);
	checkMethods(tracer, "tracer", ["startSpan"]);
	checkMethods(meter, "meter", [
		"createCounter",
		"createHistogram",
		"createObservableUpDownCounter",
		"addBatchObservableCallback",
	]);
	if (clock !== undefined) checkMethods(clock, "clock", ["now"]);
	return new RuntimeTelemetry(tracer, meter, new Timing(clock));
}

type MessageEvent = Extract<
	RuntimeEvent<unknown>,
	{ readonly type: "message" }
>;

class RuntimeTelemetry implements Telemetry {
	readonly #tracer: Tracer;
	readonly #timing: Timing;
	readonly #metrics: Metrics;
	readonly #messages = new MessageLinks();
	readonly #generations: GenerationSpans;
	readonly #runs: RunSpans;
	/** Ids of the messages that the commit which is being told gave to its run. */
	readonly #taken: string[] = [];
	/** Runs that the commit which is being told has settled. */
	readonly #settled: RunRecord[] = [];
	#isUsed = false;
	#feed: Subscription | null = null;
	#unwatch: (() => void) | null = null;

	constructor(tracer: Tracer, meter: Meter, timing: Timing) {
		this.#tracer = tracer;
		this.#timing = timing;
		this.#metrics = new Metrics(meter);
		this.#generations = new GenerationSpans(tracer, timing);
		this.#runs = new RunSpans({
			tracer,
			timing,
			metrics: this.#metrics,
			generations: this.#generations,
			messages: this.#messages,
		});
	}

	runtime<Input, Output, Meta>(
		runtime: EmbeddedRuntime<Input, Output, Meta>,
	): EmbeddedRuntime<Input, Output, Meta> {
		checkMethods(runtime, "runtime", [
			"subscribe",
			"stats",
			"start",
			"send",
			"admit",
			"close",
		]);
		if (this.#isUsed)
			throw invalid(
				"this telemetry has looked at a runtime already; each needs its own: createTelemetry()",
			);
		this.#isUsed = true;
		this.#feed = runtime.subscribe((event) =>
			harmless(() => this.#hear(event), undefined),
		);
		this.#unwatch = harmless(
			() => this.#metrics.watch(() => runtime.stats()),
			null,
		);
		const close: typeof runtime.close = async (options) => {
			try {
				await runtime.close(options);
			} catch (error) {
				// Called wrongly, it goes on.
				if (codeOf(error) !== "INVALID_ARGUMENT") this.stop();
				throw error;
			}
			this.stop();
		};
		const observed: typeof runtime = behind(runtime, {
			start: async () => {
				await runtime.start();
				return observed;
			},
			send: (sessionKey: string, input: Input, options?: SendOptions<Meta>) =>
				this.#send(sessionKey, () => runtime.send(sessionKey, input, options)),
			admit: (sessionKey: string, options?: AdmitOptions<Meta>) =>
				this.#admit(() => runtime.admit(sessionKey, options)),
			close,
			[Symbol.asyncDispose]: () => close(),
		});
		return observed;
	}

	executor<Input, Output, Meta>(
		execute: (run: ManagedRun<Input, Meta>) => Promise<Output> | Output,
	): (run: ManagedRun<Input, Meta>) => Promise<Output> | Output {
		if (typeof execute !== "function")
			throw invalid(
				`execute is ${shown(execute)}; it must be a function of a run`,
			);
		return (run) => {
			// Of one that is tried again, the time before its first attempt was measured then.
			if (run.ticket.attempt === 1)
				harmless(() => {
					const now = this.#timing.now();
					for (const { acceptedAt } of run.messages)
						this.#metrics.waited(Math.max(0, now - acceptedAt) / 1000);
				}, undefined);
			return this.within(run, () => execute(run));
		};
	}

	within<Result>(
		{ ticket }: { readonly ticket: RunTicket },
		act: () => Result,
	): Result {
		const run = this.#runs.find(ticket);
		return run && !run.isOver ? context.with(run.context, act) : act();
	}

	store(store: SessionStore): SessionStore {
		checkMethods(store, "store", ["open", "read"]);
		return measuredStore(store, this.#metrics, this.#timing);
	}

	stop(): void {
		this.#feed?.unsubscribe();
		this.#feed = null;
		const unwatch = this.#unwatch;
		this.#unwatch = null;
		if (unwatch) harmless(unwatch, undefined);
		this.#settle();
		this.#runs.close();
		this.#messages.clear();
		this.#generations.clear();
	}

	[Symbol.dispose](): void {
		this.stop();
	}

	#hear(event: RuntimeEvent<unknown>): void {
		switch (event.type) {
			case "message":
				this.#hearMessage(event);
				break;
			case "run":
				// The report that settled it may be told after it, and is an event of its span.
				if (this.#settled.length === 0) queueMicrotask(() => this.#settle());
				this.#settled.push(event.run);
				break;
			case "generation":
				this.#generations.ended(event.ended);
				break;
			case "refusal":
				this.#metrics.refusedReport(event.refusal);
				this.#runs.refuse(event.refusal);
				break;
			case "row":
				this.#settle();
				this.#generations.see(event.row);
				this.#runs.see(event.row, this.#taken.splice(0));
				break;
			case "deleted":
				this.#settle();
				this.#taken.length = 0;
				break;
			case "trouble":
				this.#metrics.trouble(event.error);
				break;
		}
	}

	#hearMessage({ sessionKey, messageId, fate }: MessageEvent): void {
		if (fate === "taken") this.#taken.push(messageId);
		if (fate !== "removed") return;
		this.#messages.take(sessionKey, messageId);
		this.#messages.tell(sessionKey, messageId, null);
	}

	#settle(): void {
		for (const record of this.#settled.splice(0))
			harmless(() => this.#runs.settle(record), undefined);
	}

	async #send<Output>(
		sessionKey: string,
		send: () => Promise<SendReceipt<Output>>,
	): Promise<SendReceipt<Output>> {
		const span = harmless(() => this.#sendSpan(sessionKey), null);
		const sent = this.#messages.send(sessionKey);
		try {
			const receipt = await send();
			const { disposition, messageId, row } = receipt;
			harmless(() => {
				const isNew = disposition !== "duplicate" && span !== null;
				sent(
					isNew && this.#feed
						? {
								messageId,
								sent: span.spanContext(),
								isWaiting: disposition !== "started",
							}
						: null,
				);
				span?.setAttributes({
					[attributes.messageId]: messageId,
					[attributes.disposition]: disposition,
					[attributes.conversation]: row.sessionId,
					[attributes.generation]: row.generation,
				});
				span?.end(this.#timing.at());
			}, undefined);
			return receipt;
		} catch (error) {
			harmless(() => {
				sent(null);
				this.#metrics.refusedCall("send", error);
				span?.setAttribute(attributes.error, codeOf(error));
				span?.setStatus({ code: SpanStatusCode.ERROR });
				span?.end(this.#timing.at());
			}, undefined);
			throw error;
		}
	}

	#sendSpan(sessionKey: string) {
		const at = this.#timing.at();
		return this.#tracer.startSpan(spans.send, {
			kind: SpanKind.PRODUCER,
			...(at === undefined ? {} : { startTime: at }),
			attributes: {
				...ofSession(sessionKey),
				[attributes.operation]: "send",
				[attributes.operationType]: "send",
			},
		});
	}

	async #admit<Meta>(
		admit: () => Promise<AdmittedRun<Meta>>,
	): Promise<AdmittedRun<Meta>> {
		const caller = harmless<SpanContext | undefined>(
			() => trace.getSpanContext(context.active()),
			undefined,
		);
		try {
			const run = await admit();
			if (caller)
				harmless(
					() => this.#runs.find(run.ticket)?.linkTo(caller, "caller"),
					undefined,
				);
			return run;
		} catch (error) {
			harmless(() => this.#metrics.refusedCall("admit", error), undefined);
			throw error;
		}
	}
}
