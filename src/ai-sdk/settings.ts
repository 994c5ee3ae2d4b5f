/** Owns what a caller may say of an executor over the AI SDK: what `streamText` takes, but what belongs to the run. */
import type {
	ModelMessage,
	SystemModelMessage,
	streamText,
	ToolSet,
	UserModelMessage,
} from "ai";
import type { Message, TranscriptEntry } from "../../machines/facts.ts";
import type { JsonValue } from "../../machines/json.ts";
import { checkCount, checkMs, checkOptions, invalid } from "../arguments.ts";

type StreamTextSettings = Parameters<typeof streamText<ToolSet>>[0];

/** The run's own. */
const owned = {
	prompt: "what is asked is the run's messages and the session's transcript",
	messages: "what is asked is the run's messages and the session's transcript",
	abortSignal: "it is the run's signal",
	output: "the output of the run is the text of its last step",
	experimental_output: "the output of the run is the text of its last step",
	experimental_steering: "messages that steer come from the run",
} as const;

/**
 * What `streamText` takes, but `prompt`, `messages`, `abortSignal`, `output` and steering, and what the session adds. Callbacks and `timeout`
 * are of each step; `prepareStep` and `stopWhen` (default: 20 steps) see all steps of the run, and what the first gives holds for its step.
 */
export interface AiSettings<Input = JsonValue>
	extends Omit<StreamTextSettings, keyof typeof owned | "instructions"> {
	/** What the model is told before all else, in both versions of the SDK. */
	instructions?: string | SystemModelMessage | SystemModelMessage[] | undefined;
	/** How a message is told to the model. Default: an input that is a string is the text of a user, or a user message as the SDK has it. */
	toMessage?: (message: Message<Input>) => string | UserModelMessage;
	/** The newest entries of the transcript that the model is told. Default 100. */
	remember?: number;
	/**
	 * What the model is told of them. Default `messagesIn`: those that are messages. Give your own to compact what was said, or where entries of your
	 * own are among them. Calls of tools whose results are missing are left out of what it gives.
	 */
	history?: (
		entries: readonly TranscriptEntry[],
	) => readonly ModelMessage[] | Promise<readonly ModelMessage[]>;
	/** How long a tool that needs an approval waits for it, in ms; then the run fails with WAIT_TIMEOUT. Default: as long as it takes. */
	approvalTimeoutMs?: number;
}

/** What `resume` says to a call that needs an approval; anything else is a no. */
export type Approval =
	| boolean
	| { readonly approved: boolean; readonly reason?: string };

export function checkSettings<Settings extends AiSettings<never>>(
	given: Settings,
): Settings {
	const settings = checkOptions<Record<string, unknown> & Settings>(
		given as Record<string, unknown> & Settings,
		"settings",
	);
	const { model, remember, approvalTimeoutMs } = settings;
	if (!model)
		throw invalid(
			`settings.model is ${String(model)}; it must be a model of a provider, or its name`,
		);
	for (const [name, why] of Object.entries(owned))
		if (settings[name] !== undefined)
			throw invalid(`settings.${name} is given; leave it out: ${why}`);
	for (const name of ["toMessage", "history"])
		if (settings[name] !== undefined && typeof settings[name] !== "function")
			throw invalid(`settings.${name} must be a function`);
	if (remember !== undefined) checkCount(remember, "settings.remember");
	if (approvalTimeoutMs !== undefined)
		checkMs(approvalTimeoutMs, "settings.approvalTimeoutMs");
	return settings;
}
