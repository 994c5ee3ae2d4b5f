/**
 * Entry point `turnkeeper/otel`: what a runtime does as OpenTelemetry spans and metrics. Needs `@opentelemetry/api`, an optional peer.
 *
 * @module turnkeeper/otel
 */
export {
	createTelemetry,
	type Telemetry,
	type TelemetryOptions,
} from "./otel/telemetry.ts";
export type { TelemetryClock } from "./otel/timing.ts";
