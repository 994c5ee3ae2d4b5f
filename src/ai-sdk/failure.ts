/** Owns what an error of the SDK, its provider or the network is called: the end of a run like any other, with a code that tells them apart. */
import type { LanguageModel } from "ai";
import { type ErrorCode, errorText, TurnkeeperError } from "../errors.ts";

type ModelErrorCode = Extract<
	ErrorCode,
	"CONTEXT_OVERFLOW" | "RATE_LIMITED" | "STREAM_DROPPED" | "MODEL_FAILED"
>;

/** Of what a provider or the network throws, what is looked at. */
interface Thrown {
	readonly name?: unknown;
	readonly message?: unknown;
	readonly code?: unknown;
	readonly statusCode?: unknown;
	readonly responseHeaders?: Readonly<Record<string, string>>;
	readonly responseBody?: unknown;
	readonly lastError?: unknown;
	readonly cause?: unknown;
}

const longest = 300;
/** Errors may be their own causes. */
const deepest = 10;

const overflow =
	/context[_ ](length|window)|maximum context|prompt is too long|too many (input )?tokens|input is too long/i;
const broken =
	/\bterminated\b|socket hang up|other side closed|premature close|stream ended without/i;
const brokenCodes = /^(UND_ERR_SOCKET|UND_ERR_BODY_TIMEOUT|ECONNRESET|EPIPE)$/;

/** An error of this model, with what the SDK gave as its cause. One of turnkeeper's own stays what it is. */
export function failureOf(
	thrown: unknown,
	model: LanguageModel,
): TurnkeeperError {
	// Asked several times, the SDK says so; what the last one said is what counts.
	const error = ((thrown as Thrown | null)?.lastError ?? thrown) as Thrown;
	if (error instanceof TurnkeeperError) return error;
	const name = nameOf(model);
	const said = saidBy(error);
	const status = error?.statusCode;
	const failed = (code: ModelErrorCode, sentence: string) =>
		new TurnkeeperError(code, `${sentence} (${code})`, { cause: thrown });
	if (isOverflow(error))
		return failed(
			"CONTEXT_OVERFLOW",
			`the conversation is too long for ${name}: ${said}; it must be shorter: settings.history says what of it the model is told`,
		);
	if (status === 429 || error?.code === "rate_limit_exceeded") {
		const after = error?.responseHeaders?.["retry-after"];
		return failed(
			"RATE_LIMITED",
			`${name} was asked too often: ${said}; ask it again ${after ? `after ${after} s` : "later"}`,
		);
	}
	if (typeof status === "number" && status >= 300)
		return failed("MODEL_FAILED", `${name} answered ${status}: ${said}`);
	if (isBroken(error))
		return failed("STREAM_DROPPED", `the answer of ${name} broke off: ${said}`);
	return failed("MODEL_FAILED", `${name} failed: ${said}`);
}

/** The answer ended without the word that it is whole. */
export function brokeOff(model: LanguageModel, why: string): TurnkeeperError {
	return new TurnkeeperError(
		"STREAM_DROPPED",
		`the answer of ${nameOf(model)} broke off: ${why} (STREAM_DROPPED)`,
	);
}

function isOverflow(error: Thrown): boolean {
	const { code, statusCode, responseBody } = error ?? {};
	if (typeof statusCode === "number" && ![400, 413, 422].includes(statusCode))
		return false;
	return [code, errorText(error), responseBody].some(
		(one) => typeof one === "string" && overflow.test(one),
	);
}

function isBroken(error: Thrown): boolean {
	let one: unknown = error;
	for (let depth = 0; one && depth < deepest; depth += 1) {
		const { code, message, cause } = one as Thrown;
		one = cause;
		if (typeof code === "string" && brokenCodes.test(code)) return true;
		if (typeof message === "string" && broken.test(message)) return true;
	}
	return false;
}

/** At most a line of it, with what lies beneath if that says more. */
function saidBy(error: Thrown): string {
	const { cause, message } = error ?? {};
	const said =
		typeof message === "string" && !(error instanceof Error)
			? message
			: errorText(error);
	const beneath = cause ? errorText(cause) : "";
	const all = said.includes(beneath) ? said : `${said} (${beneath})`;
	const line = all.replace(/\s+/g, " ").trim();
	return line.length > longest ? `${line.slice(0, longest - 1)}…` : line;
}

function nameOf(model: LanguageModel): string {
	if (typeof model === "string") return `the model ${JSON.stringify(model)}`;
	const { modelId, provider } = model;
	return `the model ${JSON.stringify(modelId)} of ${provider}`;
}
