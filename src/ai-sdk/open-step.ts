/**
 * Owns what is known of a step while it goes on: what it said, which calls of it have come to a result, and what went wrong. A step that
 * comes to its end is told by the SDK; of one that does not, this is what is left.
 */
import type { AssistantModelMessage, ModelMessage, ToolResultPart } from "ai";
import { errorText } from "../errors.ts";
import type { Call } from "./calls.ts";
import { plain } from "./plain.ts";
import type { AiProgress } from "./progress.ts";

/** Of the parts of a stream, what both versions of the SDK say alike. */
export interface StreamPart {
	readonly type: string;
	readonly text?: string;
	readonly toolCallId?: string;
	readonly toolName?: string;
	readonly input?: unknown;
	readonly output?: unknown;
	readonly error?: unknown;
	readonly reason?: string;
	readonly preliminary?: boolean;
	readonly providerExecuted?: boolean;
	readonly finishReason?: string;
	readonly rawFinishReason?: string | undefined;
	readonly usage?: {
		readonly inputTokens?: number | undefined;
		readonly outputTokens?: number | undefined;
	};
}

type Content = Exclude<AssistantModelMessage["content"], string>;
type Output = ToolResultPart["output"];

export class OpenStep {
	#text = "";
	readonly #calls = new Map<string, Call>();
	readonly #results = new Map<string, ToolResultPart>();
	/** Of calls that were approved: they belong to the step before, whatever ids this one gives to its own. */
	readonly #resultsBefore = new Map<string, ToolResultPart>();

	/** What is to be told of a part to those who follow; null if nothing. */
	see(part: StreamPart): AiProgress | null {
		const { type, toolCallId = "", toolName = "", text = "" } = part;
		const ofCall = { toolCallId, toolName };
		switch (type) {
			case "text-delta":
				this.#text += text;
				return { type: "text", text };
			case "reasoning-delta":
				return { type: "reasoning", text };
			case "tool-call":
				// What the provider carries out itself is told by its whole step, or not at all.
				if (!part.providerExecuted)
					this.called({ ...ofCall, input: part.input });
				return { type, ...ofCall, input: plain(part.input) };
			case "tool-result":
				if (part.preliminary) return null;
				this.#result(ofCall, jsonOf(part.output), part.providerExecuted);
				return { type, ...ofCall, output: plain(part.output) };
			case "tool-error": {
				const error = errorText(part.error);
				const output = { type: "error-text", value: error } as const;
				this.#result(ofCall, output, part.providerExecuted);
				return { type, ...ofCall, error };
			}
			case "tool-output-denied":
				this.#result(ofCall, { type: "execution-denied" });
				return null;
			default:
				return null;
		}
	}

	called(call: Call): void {
		if (!this.#calls.has(call.toolCallId))
			this.#calls.set(call.toolCallId, call);
	}

	returned(call: Call, output: unknown): void {
		this.#result(call, jsonOf(output));
	}

	#result(
		{ toolCallId, toolName }: { toolCallId: string; toolName: string },
		output: Output,
		byProvider = false,
	): void {
		if (byProvider) return;
		const results = this.#calls.has(toolCallId)
			? this.#results
			: this.#resultsBefore;
		results.set(toolCallId, {
			type: "tool-result",
			toolCallId,
			toolName,
			output,
		});
	}

	/** What there is of it that was not taken before: text, and calls with their results. Calls without one are left out. */
	take(): readonly ModelMessage[] {
		const before = [...this.#resultsBefore.values()];
		const own = [...this.#results.values()];
		const content: Content = [];
		if (this.#text !== "") content.push({ type: "text", text: this.#text });
		for (const { toolCallId, toolName } of own) {
			const input = this.#calls.get(toolCallId)?.input;
			content.push({ type: "tool-call", toolCallId, toolName, input });
		}
		this.#text = "";
		this.#results.clear();
		this.#resultsBefore.clear();
		const messages: ModelMessage[] = [];
		if (before.length > 0) messages.push({ role: "tool", content: before });
		if (content.length > 0) messages.push({ role: "assistant", content });
		if (own.length > 0) messages.push({ role: "tool", content: own });
		return messages;
	}
}

function jsonOf(output: unknown): Output {
	return typeof output === "string"
		? { type: "text", value: output }
		: { type: "json", value: plain(output ?? null) as never };
}
