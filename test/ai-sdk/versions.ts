/** Owns the versions of the AI SDK that the executor is tested with, each with a provider of its time. */
import { createOpenAICompatible as provider7 } from "@ai-sdk/openai-compatible";
import * as ai7 from "ai";
import * as ai6 from "ai-6";
import { createOpenAICompatible as provider6 } from "openai-compatible-2";
import type { JsonValue, ManagedRun } from "turnkeeper";
import type { AiSettings } from "turnkeeper/ai-sdk";
import { executorOver, type StreamText } from "../../src/ai-sdk/executor.ts";

/** What differs between them is of no matter to a test: all are handled by the types of the newest. */
const sdks = {
	6: { ai: ai6 as unknown as typeof ai7, provider: provider6 },
	7: { ai: ai7, provider: provider7 },
};

export const versions = [6, 7] as const;
export type Version = (typeof versions)[number];

export function sdkOf(version: Version) {
	const { ai, provider } = sdks[version];
	return {
		tool: ai.tool,
		streamText: ai.streamText as StreamText,
		execute: <Input = JsonValue>(
			given:
				| AiSettings<Input>
				| ((
						run: ManagedRun<Input>,
				  ) => AiSettings<Input> | Promise<AiSettings<Input>>),
		) => executorOver<Input, JsonValue>(ai.streamText as StreamText, given),
		/** A model of the server on loopback. */
		model(baseURL: string, modelId = "small", apiKey?: string) {
			const make = provider({
				name: "loopback",
				baseURL,
				includeUsage: true,
				...(apiKey === undefined ? {} : { apiKey }),
			});
			return make(modelId) as AiSettings["model"];
		},
	};
}
