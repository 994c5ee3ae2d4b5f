/** Owns how what the SDK has in its hands becomes JSON: what is undefined goes, bytes become base64, which the SDK reads as well. */
import type { JsonValue } from "../../machines/json.ts";

/** Throws for what JSON cannot say, as JSON.stringify does. */
export function plain<Value>(value: Value): Value & JsonValue {
	const text: string | undefined = JSON.stringify(
		value,
		function (this: unknown, name, given) {
			// A Buffer has said its own JSON already.
			const original = (this as Record<string, unknown>)[name];
			return original instanceof Uint8Array
				? Buffer.from(original).toString("base64")
				: given;
		},
	);
	return JSON.parse(text ?? "null");
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
