/**
 * Entry point `turnkeeper/openclaw`: an OpenClaw gateway, live or recorded, as reports for a runtime, and a watch over the rows that it
 * publishes. Both generations of its protocol. The map for `turnkeeper replay` is `turnkeeper/maps/openclaw`.
 *
 * @module turnkeeper/openclaw
 */

export { type Drift, reportsOf, watchDrift } from "./openclaw/drift.ts";
export type { Frame } from "./openclaw/frames.ts";
export { type GatewayOptions, gatewayFrames } from "./openclaw/gateway.ts";
