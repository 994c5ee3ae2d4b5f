/** Owns a host under test whose runtime, executor and store are looked at by telemetry, on one clock. */
import type {
	JsonValue,
	ManagedRun,
	RunAborted,
	RuntimeOptions,
	SessionStore,
} from "turnkeeper";
import { memoryStore } from "turnkeeper/memory";
import { createTelemetry } from "turnkeeper/otel";
import { onTestFinished } from "vitest";
import { VirtualClock } from "../../src/testing/virtual-clock.ts";
import { Scripted, startHost } from "../support/host.ts";
import { collector } from "./collector.ts";

type Options = RuntimeOptions<JsonValue, unknown, JsonValue>;

export async function startObserved({
	store = memoryStore(),
	collected = collector(),
	clock = new VirtualClock(),
	...options
}: Partial<Options> & {
	store?: SessionStore;
	collected?: ReturnType<typeof collector>;
	clock?: VirtualClock;
} = {}) {
	const { tracer, meter } = collected;
	const telemetry = createTelemetry({ tracer, meter, clock });
	onTestFinished(() => telemetry.stop());
	const scripted = new Scripted();
	const execute = options.execute ?? scripted.execute;
	const host = await startHost(
		telemetry.store(store),
		{
			...options,
			clock,
			execute: telemetry.executor(execute) as Options["execute"] & {},
		},
		(runtime) => telemetry.runtime(runtime),
	);
	return { ...host, store, telemetry, scripted, collected };
}

/** An executor whose runs end when they are told to stop. */
export function untilStopped(run: ManagedRun<JsonValue>): Promise<never> {
	return new Promise((_, reject) => {
		run.signal.addEventListener("abort", () =>
			reject(run.signal.reason as RunAborted),
		);
	});
}
