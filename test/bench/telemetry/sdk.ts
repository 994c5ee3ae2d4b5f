/** Owns an OpenTelemetry SDK as a host would have it, but for what it exports, which goes nowhere. */
import { context, metrics, trace } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import { MeterProvider, MetricReader } from "@opentelemetry/sdk-metrics";
import {
	BasicTracerProvider,
	BatchSpanProcessor,
} from "@opentelemetry/sdk-trace-base";

class Reader extends MetricReader {
	protected override async onForceFlush(): Promise<void> {}
	protected override async onShutdown(): Promise<void> {}
}

const nowhere = {
	export: (_: unknown, done: (result: { code: 0 }) => void) =>
		done({ code: 0 }),
	shutdown: async () => {},
};

/** For the whole process, so that it is what telemetry uses by default. */
export function registerMetrics(): void {
	metrics.setGlobalMeterProvider(
		new MeterProvider({ readers: [new Reader()] }),
	);
}

export function registerSpans(): void {
	context.setGlobalContextManager(
		new AsyncLocalStorageContextManager().enable(),
	);
	trace.setGlobalTracerProvider(
		new BasicTracerProvider({
			spanProcessors: [new BatchSpanProcessor(nowhere)],
		}),
	);
}
