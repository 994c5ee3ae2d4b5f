/** Owns what callers may pass: every check names the argument, its value and what would have been right. */
import type { StandardSchemaV1 } from "@standard-schema/spec";
import type { Expectation } from "../machines/facts.ts";
import { type JsonValue, notJson } from "../machines/json.ts";
import type { RunTicket } from "../machines/ticket.ts";
import { type ErrorCode, errorText, TurnkeeperError } from "./errors.ts";

const longestKey = 4096;
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are the characters that a key may not have
const control = /[\u0000-\u001f\u007f-\u009f]/;

export function invalid(message: string): TurnkeeperError {
	return new TurnkeeperError("INVALID_ARGUMENT", message);
}

/** A value in an error message, at most a line of it. */
export function shown(value: unknown): string {
	let text: string;
	try {
		text =
			typeof value === "string" || typeof value === "object"
				? (JSON.stringify(value) ?? String(value))
				: String(value);
	} catch {
		text = "a value that cannot be shown";
	}
	return text.length > 80 ? `${text.slice(0, 77)}…` : text;
}

/** Keys and ids: non-empty, at most 4096 bytes of UTF-8, no control characters. Anything else is an ordinary key. */
export function checkName(value: unknown, name: string): string {
	if (typeof value !== "string")
		throw invalid(`${name} is ${shown(value)}; it must be a string`);
	if (value === "") throw invalid(`${name} is empty; it must name something`);
	if (value.length > longestKey || Buffer.byteLength(value) > longestKey)
		throw invalid(
			`${name} has ${Buffer.byteLength(value)} bytes; it may have ${longestKey}`,
		);
	if (!value.isWellFormed())
		throw invalid(
			`${name} is ${shown(value)}; it must be well-formed Unicode, without half surrogate pairs`,
		);
	if (control.test(value))
		throw invalid(
			`${name} is ${shown(value)}; it must not have control characters`,
		);
	return value;
}

export function checkOptionalName(
	value: unknown,
	name: string,
): string | undefined {
	return value === undefined ? undefined : checkName(value, name);
}

/** Milliseconds, from zero on. */
export function checkMs(value: unknown, name: string): number {
	if (!Number.isFinite(value) || (value as number) < 0)
		throw invalid(
			`${name} is ${shown(value)}; it must be milliseconds, 0 or more`,
		);
	return value as number;
}

/** An options object, or none. */
export function checkOptions<Options extends object>(
	value: Options | undefined,
	name = "options",
): Options {
	if (value === undefined) return {} as Options;
	if (typeof value !== "object" || value === null)
		throw invalid(`${name} is ${shown(value)}; it must be an object`);
	return value;
}

export function checkFlag(value: unknown, name: string): boolean {
	if (value !== undefined && typeof value !== "boolean")
		throw invalid(`${name} is ${shown(value)}; it must be true or false`);
	return value === true;
}

export function checkTokens(value: unknown, name: string): number {
	if (value === undefined) return 0;
	if (!Number.isFinite(value) || (value as number) < 0)
		throw invalid(`${name} is ${shown(value)}; it must be a number, 0 or more`);
	return value as number;
}

export function checkSignal(value: unknown): AbortSignal | undefined {
	if (value !== undefined && !(value instanceof AbortSignal))
		throw invalid(`signal is ${shown(value)}; it must be an AbortSignal`);
	return value;
}

/** Methods that somebody else's object must have. */
export function checkMethods<Value>(
	value: Value,
	name: string,
	methods: readonly string[],
): Value {
	const missing = methods.find(
		(method) =>
			typeof (value as Record<string, unknown> | null)?.[method] !== "function",
	);
	if (missing)
		throw invalid(
			`${name} is ${shown(value)}; it must have ${methods.map((method) => `${method}()`).join(", ")}`,
		);
	return value;
}

export function checkCount(value: unknown, name: string): number {
	if (!Number.isSafeInteger(value) || (value as number) < 1)
		throw invalid(
			`${name} is ${shown(value)}; it must be a whole number, 1 or more`,
		);
	return value as number;
}

export function checkChoice<Choice extends string>(
	value: unknown,
	name: string,
	choices: readonly Choice[],
): Choice {
	if (!choices.includes(value as Choice))
		throw invalid(
			`${name} is ${shown(value)}; it must be one of ${choices.map((choice) => `'${choice}'`).join(", ")}`,
		);
	return value as Choice;
}

const expectations = {
	sessionId: "string",
	generation: "number",
	runId: "string",
	messageId: "string",
	version: "number",
} as const satisfies Record<keyof Expectation, string>;

export function checkExpectation(value: unknown): Expectation | undefined {
	if (value === undefined) return undefined;
	if (typeof value !== "object" || value === null)
		throw invalid(`expect is ${shown(value)}; it must be an object`);
	for (const [field, given] of Object.entries(value)) {
		const type = expectations[field as keyof Expectation];
		if (!type)
			throw invalid(
				`expect.${field} is not known; it can be ${Object.keys(expectations).join(", ")}`,
			);
		if (given !== undefined && typeof given !== type)
			throw invalid(`expect.${field} is ${shown(given)}; it must be a ${type}`);
	}
	// A copy: what is expected is what was said now.
	return { ...(value as Expectation) };
}

/** Who owns a run, or as much of that as a caller must have. */
export function checkTicket(
	value: unknown,
	fields: readonly (keyof RunTicket)[] = [
		"sessionKey",
		"generation",
		"runId",
		"attempt",
	],
): void {
	const ticket = checkOptions(value as Partial<RunTicket>, "ticket");
	for (const field of fields)
		if (field === "generation" || field === "attempt")
			checkCount(ticket[field], `ticket.${field}`);
		else checkName(ticket[field], `ticket.${field}`);
}

/** A plain copy, so that what the caller does to its own afterwards changes nothing. */
export function checkJson(
	value: unknown,
	name: string,
	code: ErrorCode = "INVALID_INPUT",
): JsonValue {
	const found = notJson(value, name);
	if (found !== null)
		throw new TurnkeeperError(
			code,
			`${found} cannot be stored; it must be JSON: null, booleans, finite numbers, strings, arrays and plain objects, without cycles`,
		);
	return copied(value as JsonValue);
}

/** What a function of the host's gave where nobody waits: that it is a promise is its mistake, and what that comes to is nobody's. */
export function atOnce(given: unknown): unknown {
	if (given instanceof Promise) given.catch(() => {});
	return given;
}

/** As it will come back from the store: no -0, no shared parts. */
export function copied(value: JsonValue): JsonValue {
	if (typeof value === "object") return JSON.parse(JSON.stringify(value));
	return value === 0 ? 0 : value;
}

/** What a schema makes of a value: at once if the schema answers at once. INVALID_INPUT with the schema's own words. */
export function checkSchema<Value>(
	schema: StandardSchemaV1<unknown, Value>,
	value: unknown,
	name: string,
): Value | Promise<Value> {
	const threw = (error: unknown): never => {
		throw new TurnkeeperError(
			"INVALID_INPUT",
			`the schema of ${name} threw: ${errorText(error)}`,
			{ cause: error },
		);
	};
	let result: ReturnType<(typeof schema)["~standard"]["validate"]>;
	try {
		result = schema["~standard"].validate(value);
	} catch (error) {
		return threw(error);
	}
	return result instanceof Promise
		? result.catch(threw).then((late) => accepted(late, name))
		: accepted(result, name);
}

function accepted<Value>(
	result: StandardSchemaV1.Result<Value>,
	name: string,
): Value {
	if (!result.issues) return result.value;
	const issues = result.issues.map(({ message, path }) => {
		const at = (path ?? []).map((part) =>
			String(typeof part === "object" ? part.key : part),
		);
		return at.length > 0 ? `${at.join(".")}: ${message}` : message;
	});
	throw new TurnkeeperError(
		"INVALID_INPUT",
		`${name} is refused by its schema: ${issues.join("; ")}`,
	);
}

export function checkUrl(given: unknown, name: string, example: string): void {
	if (typeof given !== "string" || !/^https?:$/.test(protocolOf(given)))
		throw invalid(
			`${name} is ${shown(given)}; it must be a URL, such as ${example}`,
		);
}

function protocolOf(url: string): string {
	return URL.parse(url)?.protocol ?? "";
}
