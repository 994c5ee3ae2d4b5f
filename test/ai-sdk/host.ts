/** Owns a host whose runs are answered by a scripted model server, over one version of the AI SDK. */
import type { JsonValue, RuntimeOptions, SessionStore } from "turnkeeper";
import type { AiSettings } from "turnkeeper/ai-sdk";
import { memoryStore } from "turnkeeper/memory";
import { onTestFinished } from "vitest";
import {
	type Act,
	type ModelRequest,
	type ModelServerOptions,
	startModelServer,
	type WireMessage,
} from "../../examples/model-server/model-server.ts";
import { startHost } from "../support/host.ts";
import { sdkOf, type Version } from "./versions.ts";

export type Answers =
	| readonly (readonly Act[])[]
	| ((request: ModelRequest, number: number) => readonly Act[]);

interface Given extends Partial<Omit<ModelServerOptions, "answer">> {
	readonly store?: SessionStore;
	readonly settings?: Partial<AiSettings>;
	readonly options?: Partial<RuntimeOptions<JsonValue, unknown, JsonValue>>;
	readonly modelId?: string;
	readonly apiKey?: string;
}

/** Answers in order; the last one is said to all that come after. */
export async function startAiHost(
	version: Version,
	answers: Answers,
	{ store, settings, options, modelId, apiKey, ...server }: Given = {},
) {
	const sdk = sdkOf(version);
	const model = await startModelServer({
		...server,
		answer:
			typeof answers === "function"
				? answers
				: (_, number) => answers[Math.min(number, answers.length - 1)] ?? [],
	});
	onTestFinished(() => model.close());
	const host = await startHost(store ?? memoryStore(), {
		...options,
		execute: sdk.execute({
			model: sdk.model(model.url, modelId, apiKey),
			maxRetries: 0,
			...settings,
		}),
	});
	const { runtime } = host;
	return {
		...host,
		sdk,
		model,
		/** Sends, and gives how that ended. */
		ask: async (input: JsonValue, key = "k") =>
			(await runtime.send(key, input)).settled,
		/** The messages of the transcript, each as a line. */
		said: async (key = "k") =>
			(await runtime.transcript(key)).items
				.map(({ entry }) => lineOf(entry as unknown as WireMessage))
				.reverse(),
		/** What a request told the model, each message as a line. */
		told: (number: number) => model.requests[number]?.body.messages.map(lineOf),
	};
}

/** A message in either format as `role: what it says`. */
export function lineOf({ role, content, tool_calls }: WireMessage): string {
	const parts = typeof content === "string" ? [content] : (content ?? []);
	const said = [...(parts as unknown[]), ...(tool_calls ?? [])].map((part) => {
		if (typeof part === "string") return part;
		const { type, text, toolName, output, function: called } = part as Part;
		if (type === "text") return text;
		if (type === "function") return `calls ${called?.name}`;
		if (type === "tool-call") return `calls ${toolName}`;
		if (type === "tool-result")
			return `${toolName} gave ${JSON.stringify(output?.value ?? output?.type)}`;
		return type;
	});
	return `${role}: ${said.filter((one) => one !== "").join(", ")}`;
}

interface Part {
	readonly type: string;
	readonly text?: string;
	readonly toolName?: string;
	readonly output?: { readonly type: string; readonly value?: unknown };
	readonly function?: { readonly name: string };
}
