/** Owns tools whose calls have an effect on the world: they are carried out by the run's `deliver`, or not at all. */
import type { FlexibleSchema, ModelMessage, Tool, ToolSet } from "ai";
import type { JsonValue } from "../../machines/json.ts";
import { invalid } from "../arguments.ts";
import type { Call } from "./calls.ts";

/** What the effect of a tool is given besides its input. */
export interface OutwardCall {
	readonly signal: AbortSignal;
	/** The same for the same call in every attempt of the run. */
	readonly idempotencyKey: string;
	readonly toolCallId: string;
	readonly messages: readonly ModelMessage[];
}

/** What `tool` of the SDK takes of a function, with an `execute` that is given an idempotency key. */
// biome-ignore lint/suspicious/noConfusingVoidType: an effect that returns nothing is one
export interface OutwardTool<Input, Output extends JsonValue | void>
	extends Pick<
		Tool<Input, Output>,
		"description" | "title" | "needsApproval" | "providerOptions"
	> {
	readonly inputSchema: FlexibleSchema<Input>;
	readonly execute: (
		input: Input,
		call: OutwardCall,
	) => Promise<Output> | Output;
}

type Effect = OutwardTool<unknown, JsonValue>["execute"];

const effect = Symbol("the effect of an outward tool");

/**
 * A tool that posts, writes or pays. `aiExecutor` carries its calls out by `run.deliver`: none once the run was told to stop, and a later
 * attempt of the run that makes the same call (this tool, this input, the first or second of those) gets the result of the first.
 *
 * @example const post = outwardTool({ inputSchema: z.object({ text: z.string() }), execute: ({ text }, { idempotencyKey }) => send(text, idempotencyKey) });
 */
// biome-ignore lint/suspicious/noConfusingVoidType: an effect that returns nothing is one
export function outwardTool<Input, Output extends JsonValue | void>(
	definition: OutwardTool<Input, Output>,
): Tool<Input, Output> {
	if (typeof definition?.execute !== "function")
		throw invalid("outwardTool is given no execute; it must be a function");
	return {
		...definition,
		[effect]: definition.execute,
		execute: () => {
			throw invalid(
				"an outward tool was called without a run; only aiExecutor carries it out",
			);
		},
	} as unknown as Tool<Input, Output>;
}

/** The tools as a run has them: those that reach out do so by way of `deliver`. */
export function boundTools(
	tools: ToolSet,
	deliver: (
		call: Call,
		effect: (context: {
			signal: AbortSignal;
			idempotencyKey: string;
		}) => Promise<JsonValue> | JsonValue,
	) => Promise<JsonValue>,
): ToolSet {
	const bound = Object.entries(tools).map(([toolName, tool]) => {
		const act = (tool as { [effect]?: Effect })[effect];
		if (!act) return [toolName, tool];
		const execute = (
			input: unknown,
			{
				toolCallId,
				messages,
			}: { toolCallId: string; messages: ModelMessage[] },
		) =>
			deliver({ toolCallId, toolName, input }, (context) =>
				act(input, { ...context, toolCallId, messages }),
			);
		return [toolName, { ...tool, execute }];
	});
	return Object.fromEntries(bound);
}
