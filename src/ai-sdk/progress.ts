/** Owns what those who `follow` an answer are told. */
import type { JsonValue } from "../../machines/json.ts";

/** A value of `runtime.follow(ticket)`, for a run whose executor is `aiExecutor`. */
export type AiProgress =
	| { readonly type: "text" | "reasoning"; readonly text: string }
	| ({ readonly type: "tool-call"; readonly input: JsonValue } & OfCall)
	| ({ readonly type: "tool-result"; readonly output: JsonValue } & OfCall)
	| ({ readonly type: "tool-error"; readonly error: string } & OfCall)
	/** A call waits for `resume(ticket, wait, true)`. */
	| ({
			readonly type: "approval";
			readonly wait: string;
			readonly input: JsonValue;
	  } & OfCall);

interface OfCall {
	readonly toolCallId: string;
	readonly toolName: string;
}
