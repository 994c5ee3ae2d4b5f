/** Owns that telemetry which breaks harms nobody: whatever an exporter, a sampler or a processor throws ends here, and is told to `diag`. */
import { diag } from "@opentelemetry/api";
import { errorText } from "../errors.ts";

/** What it returns, or `otherwise` if it throws. */
export function harmless<T>(act: () => T, otherwise: T): T {
	try {
		return act();
	} catch (error) {
		try {
			diag.error(
				`turnkeeper: telemetry threw (${errorText(error)}); the session goes on without it`,
			);
		} catch {
			// There is nobody left to tell.
		}
		return otherwise;
	}
}
