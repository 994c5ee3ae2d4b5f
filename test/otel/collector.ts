/** Owns an OpenTelemetry SDK in memory whose ids count up, and the picture of what it was told: spans and metrics as text, without a time or an id that differs from run to run. */
import {
	type Attributes,
	context,
	type HrTime,
	SpanKind,
	SpanStatusCode,
} from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import {
	DataPointType,
	type Histogram,
	MeterProvider,
	type MetricData,
	MetricReader,
} from "@opentelemetry/sdk-metrics";
import {
	BasicTracerProvider,
	InMemorySpanExporter,
	type ReadableSpan,
	SimpleSpanProcessor,
	type SpanProcessor,
} from "@opentelemetry/sdk-trace-base";
import { onTestFinished } from "vitest";

class Reader extends MetricReader {
	protected override async onForceFlush(): Promise<void> {}
	protected override async onShutdown(): Promise<void> {}
}

/** Ids that count up: each span has its own, and each trace. */
class CountingIds {
	#spans = 0;
	#traces = 0;

	generateSpanId = (): string => {
		this.#spans += 1;
		return this.#spans.toString(16).padStart(16, "0");
	};

	generateTraceId = (): string => {
		this.#traces += 1;
		return this.#traces.toString(16).padStart(32, "0");
	};
}

/** An SDK that keeps what it is told; the context of a span follows what runs in it, in the whole process, until the test ends. */
export function collector(processors: SpanProcessor[] = []) {
	const exporter = new InMemorySpanExporter();
	const tracers = new BasicTracerProvider({
		idGenerator: new CountingIds(),
		spanProcessors: [...processors, new SimpleSpanProcessor(exporter)],
	});
	const reader = new Reader();
	const meters = new MeterProvider({ readers: [reader] });
	context.setGlobalContextManager(
		new AsyncLocalStorageContextManager().enable(),
	);
	onTestFinished(() => context.disable());
	return {
		tracer: tracers.getTracer("test"),
		meter: meters.getMeter("test"),
		get spans(): readonly ReadableSpan[] {
			return exporter.getFinishedSpans();
		},
		span(name: string): ReadableSpan {
			const span = exporter.getFinishedSpans().find((one) => one.name === name);
			if (!span) throw new Error(`no span ${name} has ended`);
			return span;
		},
		async metrics(): Promise<readonly MetricData[]> {
			const { resourceMetrics } = await reader.collect();
			return resourceMetrics.scopeMetrics.flatMap(({ metrics }) => metrics);
		},
	};
}

/** What a metric has come to, a line for each set of attributes: its value, or the count and the sum of a histogram. */
export function pointsOf(
	metrics: readonly MetricData[],
	name: string,
): readonly string[] {
	return metrics
		.filter(({ descriptor }) => descriptor.name === name)
		.flatMap((metric) => metric.dataPoints.map((_, i) => pointOf(metric, i)));
}

function pointOf(metric: MetricData, i: number): string {
	const point = metric.dataPoints[i];
	const value =
		metric.dataPointType === DataPointType.HISTOGRAM
			? histogram(point?.value as Histogram)
			: String(point?.value);
	return `${value}${shown(point?.attributes ?? {})}`;
}

function histogram({ count, sum }: Histogram): string {
	return `${count} of ${Number((sum ?? 0).toFixed(6))}`;
}

function shown(attributes: Attributes): string {
	return Object.entries(attributes)
		.map(([name, value]) => ` ${name}=${JSON.stringify(value)}`)
		.join("");
}

/** All that was told, as a page: spans by their begin, each with its place, its links and its events; then the metrics. `start` is what the clock showed at first. */
export async function pictureOf(
	{ spans, metrics }: ReturnType<typeof collector>,
	start: number,
): Promise<string> {
	const nameOf = new Map(
		spans.map((span) => [span.spanContext().spanId, labelOf(span)]),
	);
	const at = ([seconds, nanos]: HrTime) =>
		((seconds * 1000 + nanos / 1e6 - start) / 1000).toFixed(3);
	const lines = [...spans]
		.sort((a, b) => Number(idOf(a) > idOf(b)) - Number(idOf(a) < idOf(b)))
		.flatMap((span) => {
			const { parentSpanContext: parent, status } = span;
			const error =
				status.code === SpanStatusCode.ERROR
					? [`    error ${status.message ?? ""}`.trimEnd()]
					: [];
			return [
				`${labelOf(span)}: ${span.name}  ${SpanKind[span.kind]}  ${at(span.startTime)} to ${at(span.endTime)}${parent ? `  in ${nameOf.get(parent.spanId)}` : ""}`,
				...Object.entries(span.attributes).map(
					([name, value]) => `    ${name} ${JSON.stringify(value)}`,
				),
				...span.links.map(
					(link) =>
						`    → ${nameOf.get(link.context.spanId)}${shown(link.attributes ?? {})}`,
				),
				...span.events.map(
					(event) =>
						`    ${at(event.time)} ${event.name}${shown(event.attributes ?? {})}`,
				),
				...error,
				"",
			];
		});
	const collected = (await metrics())
		.filter(({ descriptor }) => !descriptor.name.includes("commit"))
		.sort((a, b) => (a.descriptor.name < b.descriptor.name ? -1 : 1));
	return [
		...lines,
		...collected.flatMap(({ descriptor }) => [
			`${descriptor.name} in ${descriptor.unit}`,
			...[...pointsOf(collected, descriptor.name)]
				.sort()
				.map((point) => `    ${point}`),
		]),
		"",
	].join("\n");
}

function idOf(span: ReadableSpan): string {
	return span.spanContext().spanId;
}

function labelOf(span: ReadableSpan): string {
	return `#${Number.parseInt(idOf(span), 16)}`;
}
