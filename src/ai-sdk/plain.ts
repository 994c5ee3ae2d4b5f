/** Owns how what the SDK has in its hands becomes JSON: what is undefined goes, bytes become base64, which the SDK reads as well. */
import type { JsonValue } from "../../machines/json.ts";
import { errorText, TurnkeeperError } from "../errors.ts";

/** INVALID_INPUT for what JSON cannot say. */
export function plain<Value>(value: Value): Value & JsonValue {
	try {
		return JSON.parse(JSON.stringify(value, withoutBytes) ?? "null");
	} catch (error) {
		throw new TurnkeeperError(
			"INVALID_INPUT",
			`what was said cannot be stored: ${errorText(error)}; what tools give must be JSON`,
			{ cause: error },
		);
	}
}

function withoutBytes(this: unknown, name: string, given: unknown): unknown {
	// A Buffer has said its own JSON already.
	const original = (this as Record<string, unknown>)[name];
	return original instanceof Uint8Array
		? Buffer.from(original).toString("base64")
		: given;
}

/** The same for the same, whatever the order of its fields. */
export function canonical(value: unknown): string {
	return (
		JSON.stringify(value, (_, given) =>
			typeof given === "object" && given !== null && !Array.isArray(given)
				? Object.fromEntries(
						Object.entries(given).sort(([a], [b]) => (a < b ? -1 : 1)),
					)
				: given,
		) ?? "null"
	);
}
