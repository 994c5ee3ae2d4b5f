/** Owns what may cross into the store: JSON values, how they are told from others, merged and frozen. Never does I/O. */

/** What JSON can say: no `undefined`, no dates, no NaN. */
export type JsonValue =
	| string
	| number
	| boolean
	| null
	| readonly JsonValue[]
	| { readonly [key: string]: JsonValue };

type JsonObject = { readonly [key: string]: JsonValue };

function isObject(value: JsonValue | undefined): value is JsonObject {
	return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * JSON merge patch, RFC 7396: objects merge, `null` removes a field, anything else replaces.
 *
 * @example mergePatch({ a: 1, b: 2 }, { b: null, c: 3 }) // { a: 1, c: 3 }
 */
export function mergePatch(
	target: JsonValue | undefined,
	patch: JsonValue,
): JsonValue {
	if (!isObject(patch)) return patch;
	// A map on the way, so that a field named __proto__ is an ordinary field.
	const result = new Map<string, JsonValue>(
		Object.entries(isObject(target) ? target : {}),
	);
	for (const [name, value] of Object.entries(patch)) {
		if (value === null) result.delete(name);
		else result.set(name, mergePatch(result.get(name), value));
	}
	return Object.fromEntries(result);
}

/** Freezes a JSON value throughout, once: what was given out must not be anybody's door back in. */
export function frozen<Value>(value: Value): Value {
	if (typeof value !== "object" || value === null || Object.isFrozen(value))
		return value;
	for (const field of Object.values(value)) frozen(field);
	return Object.freeze(value);
}

/** Levels that a stored value may have; more would not survive the recursion of those who read it. */
const deepest = 500;

/**
 * Where a value stops being JSON, as a path such as `input.user.since`, or null if it is JSON throughout.
 * Stricter than JSON.stringify, which turns a Map into {} and drops functions without a word.
 */
export function notJson(
	value: unknown,
	path: string,
	above: readonly unknown[] = [],
): string | null {
	switch (typeof value) {
		case "string":
		case "boolean":
			return null;
		case "number":
			return Number.isFinite(value) ? null : path;
		case "object": {
			if (value === null) return null;
			if (above.length >= deepest || above.includes(value)) return path;
			const inside = [...above, value];
			if (Array.isArray(value)) {
				for (let i = 0; i < value.length; i++) {
					const found = notJson(value[i], `${path}[${i}]`, inside);
					if (found) return found;
				}
				return null;
			}
			const prototype = Object.getPrototypeOf(value);
			if (prototype !== null && Object.getPrototypeOf(prototype) !== null)
				return path;
			for (const [name, field] of Object.entries(value)) {
				if (field === undefined) continue;
				const found = notJson(field, `${path}.${name}`, inside);
				if (found) return found;
			}
			return null;
		}
		default:
			return path;
	}
}
