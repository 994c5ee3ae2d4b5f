/**
 * Entry point `turnkeeper/ai-sdk`: an executor over Vercel's AI SDK. It needs the package `ai`, 6 or 7; nothing else of turnkeeper does.
 *
 * @module turnkeeper/ai-sdk
 */
import { streamText } from "ai";
import type { JsonValue } from "../machines/json.ts";
import { executorOver } from "./ai-sdk/executor.ts";
import type { AiSettings } from "./ai-sdk/settings.ts";
import type { ManagedRun } from "./runtime.ts";

export { answered, messagesIn } from "./ai-sdk/history.ts";
export {
	type OutwardCall,
	type OutwardTool,
	outwardTool,
} from "./ai-sdk/outward.ts";
export type { AiProgress } from "./ai-sdk/progress.ts";
export type { AiSettings, Approval } from "./ai-sdk/settings.ts";

/**
 * An executor that answers with a model: it takes what `streamText` takes but what belongs to the run, or a function of the run that gives
 * that, and gives what `createSessionRuntime({ execute })` takes. Its output is the text of the last step.
 *
 * Each step is one call of `streamText`. Between two steps what was said is in the transcript, approvals that a tool needs are waited for,
 * and messages that steer the run are taken. The provider gets the run's signal. Whatever goes wrong there fails the run with
 * CONTEXT_OVERFLOW, RATE_LIMITED, STREAM_DROPPED or MODEL_FAILED, and the error that the SDK gave as `cause`. What had been said until then,
 * or until the run was told to stop, stays in the transcript, unless its generation has ended or it was rolled back.
 *
 * @example createSessionRuntime<string, string>({ store, execute: aiExecutor({ model: openai("gpt-5"), tools: { post } }) });
 * @throws INVALID_ARGUMENT for settings that cannot be
 */
export function aiExecutor<Input = JsonValue, Meta = JsonValue>(
	settings:
		| AiSettings<Input>
		| ((
				run: ManagedRun<Input, Meta>,
		  ) => AiSettings<Input> | Promise<AiSettings<Input>>),
): (run: ManagedRun<Input, Meta>) => Promise<string> {
	return executorOver(streamText, settings);
}
