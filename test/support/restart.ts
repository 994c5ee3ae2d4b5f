/** Owns how tests bring a runtime down and the next one up on the same store. */
import type { JsonValue, RuntimeOptions } from "turnkeeper";
import { type Host, startHost } from "./host.ts";

type Close = { runs?: "abort" | "await"; graceMs?: number };

/** Closes a runtime, moving its clock through the grace period. */
export async function close(host: Host, options: Close = {}): Promise<void> {
	const closing = host.runtime.close(options);
	await host.clock.advance(options.graceMs ?? 5000);
	await closing;
}

/** A runtime of another process life on the same store, after a clean close. */
export async function restart(
	host: Host,
	options: Partial<RuntimeOptions<JsonValue, unknown, JsonValue>> = {},
): Promise<Host> {
	await close(host);
	return startHost(host.store, options);
}
