/**
 * Owns the way of one run through a model: one step after the other, each a call of `streamText`, and between two of them all that the
 * session has a say in. Knows of the two versions of the SDK what differs.
 */
import type { ModelMessage, StepResult, streamText, ToolSet } from "ai";
import type { JsonValue } from "../../machines/json.ts";
import type { TurnkeeperError } from "../errors.ts";
import type { ManagedRun } from "../runtime.ts";
import { type Asked, approvalIn, goesOn } from "./approvals.ts";
import { type Call, CallNames } from "./calls.ts";
import { Conversation } from "./conversation.ts";
import { brokeOff, failureOf } from "./failure.ts";
import { OpenStep, type StreamPart } from "./open-step.ts";
import { boundTools } from "./outward.ts";
import { plain } from "./plain.ts";
import type { AiProgress } from "./progress.ts";
import { type AiSettings, checkSettings } from "./settings.ts";

export type StreamText = typeof streamText;
type Step = StepResult<ToolSet>;

/** Where no `stopWhen` says otherwise: a model that calls tools for ever is stopped some time. */
const mostSteps = 20;

export function executorOver<Input, Meta>(
	streamText: StreamText,
	given:
		| AiSettings<Input>
		| ((
				run: ManagedRun<Input, Meta>,
		  ) => AiSettings<Input> | Promise<AiSettings<Input>>),
): (run: ManagedRun<Input, Meta>) => Promise<string> {
	if (typeof given !== "function") checkSettings(given);
	return async (run) => {
		const settings =
			typeof given === "function" ? checkSettings(await given(run)) : given;
		return new Answer(streamText, run, settings).text();
	};
}

class Answer<Input, Meta> {
	readonly #streamText: StreamText;
	readonly #run: ManagedRun<Input, Meta>;
	readonly #settings: AiSettings<Input>;
	readonly #conversation: Conversation<Input, Meta>;
	readonly #names: CallNames;
	readonly #steps: Step[] = [];
	/** Effects that are under way. */
	readonly #delivering = new Set<Promise<unknown>>();
	/** What a delivery itself met with: not for the model to see, as an error of its effect is. */
	#broken: unknown = null;
	#open = new OpenStep();

	constructor(
		streamText: StreamText,
		run: ManagedRun<Input, Meta>,
		settings: AiSettings<Input>,
	) {
		this.#streamText = streamText;
		this.#run = run;
		this.#settings = settings;
		this.#conversation = new Conversation(run, settings);
		this.#names = CallNames.of(run);
	}

	async text(): Promise<string> {
		await this.#conversation.begin();
		for (;;) {
			this.#run.signal.throwIfAborted();
			const step = await this.#step();
			const asked = goesOn(step);
			if (!asked || (await this.#isDone())) return step.text;
			// What was approved is carried out where nothing was said since.
			if (asked.length > 0) await this.#askFor(asked);
			else await this.#conversation.steer();
		}
	}

	/** One step, with what it said in the transcript, however it ends. */
	async #step(): Promise<Step> {
		const { signal } = this.#run;
		const open = new OpenStep();
		this.#open = open;
		const stopped = Promise.withResolvers<void>();
		const stop = () => stopped.resolve();
		signal.addEventListener("abort", stop, { once: true });
		try {
			const result = this.#stream();
			// A step that does not heed its signal is left to itself.
			const read = this.#read(result.fullStream as AsyncIterable<StreamPart>);
			await Promise.race([read, stopped.promise]);
			signal.throwIfAborted();
			await read;
			const step = (await result.steps).at(-1) as Step;
			const said = await responseOf(result);
			if (this.#broken) throw this.#broken;
			// Said by the SDK, it is not said again, also where the store cannot keep it.
			open.take();
			await this.#conversation.add(said);
			this.#steps.push(step);
			return step;
		} catch (error) {
			await this.#keep(open);
			throw signal.aborted
				? signal.reason
				: failureOf(error, this.#settings.model);
		} finally {
			signal.removeEventListener("abort", stop);
		}
	}

	#stream(): ReturnType<StreamText> {
		const { prepareStep, tools, instructions } = this.#settings;
		const steps = this.#steps;
		return this.#streamText({
			// The run fails with it; that is loud enough.
			onError: () => {},
			...this.#settings,
			// As 6 calls them.
			...(instructions === undefined ? {} : { system: instructions }),
			// One step.
			stopWhen: undefined,
			tools:
				tools &&
				boundTools(tools, (call, effect) => this.#deliver(call, effect)),
			prepareStep:
				prepareStep &&
				((options: Parameters<typeof prepareStep>[0]) =>
					prepareStep({
						...options,
						steps: [...steps],
						stepNumber: steps.length,
					})),
			messages: this.#conversation.messages,
			abortSignal: this.#run.signal,
		} as Parameters<StreamText>[0]);
	}

	/** To the end of the stream. Throws what went wrong in it, and where it ends without an end. */
	async #read(stream: AsyncIterable<StreamPart>): Promise<void> {
		const run = this.#run;
		const open = this.#open;
		const { model } = this.#settings;
		let failure: unknown = null;
		for await (const part of stream) {
			if (part.type === "finish-step") run.usage(tokensOf(part));
			// Of a run that was told to stop, what it cost still counts, and nothing else.
			if (run.signal.aborted) continue;
			const told = open.see(part);
			if (told) run.progress(told as AiProgress & JsonValue);
			failure ??= failureIn(part, model);
		}
		if (failure) throw failure;
	}

	/** What is left of a step that did not come to its end; of an ended generation, nothing may be said any more. */
	async #keep(open: OpenStep): Promise<void> {
		try {
			await this.#conversation.add(open.take());
			// The run is waited for until they have ended: what they did is part of what was said.
			if (this.#delivering.size === 0) return;
			await Promise.allSettled(this.#delivering);
			await this.#conversation.add(open.take());
		} catch {
			// Why the step ended is what the run ends with. A store that fails is told by the runtime.
		}
	}

	async #deliver(
		call: Call,
		effect: (context: {
			signal: AbortSignal;
			idempotencyKey: string;
		}) => Promise<JsonValue> | JsonValue,
	): Promise<JsonValue> {
		const open = this.#open;
		const { name, wasHeld } = this.#names.take(call);
		let own: { readonly error: unknown } | null = null;
		const delivered = this.#run.deliver(`call ${name}`, async (context) => {
			try {
				return jsonIn(await effect(context));
			} catch (error) {
				own = { error };
				throw error;
			}
		});
		const noted = delivered.then((output) => {
			if (!wasHeld) open.called(call);
			open.returned(call, output);
		});
		this.#delivering.add(noted);
		noted.then(
			() => this.#delivering.delete(noted),
			() => this.#delivering.delete(noted),
		);
		try {
			return await delivered;
		} catch (error) {
			if (!own) this.#broken ??= error;
			throw error;
		}
	}

	/** Waits until every call of these has its answer. */
	async #askFor(calls: readonly Asked[]): Promise<void> {
		const run = this.#run;
		const { approvalTimeoutMs: timeoutMs } = this.#settings;
		const names = this.#names.hold(calls.map(({ toolCall }) => toolCall));
		const content = await Promise.all(
			calls.map(async ({ approvalId, toolCall }, i) => {
				const { toolCallId, toolName } = toolCall;
				const wait = `approve ${names[i]}`;
				const input = plain(toolCall.input);
				run.progress({ type: "approval", wait, toolCallId, toolName, input });
				const answer = await run.waitFor<JsonValue>(
					wait,
					timeoutMs === undefined ? {} : { timeoutMs },
				);
				return {
					type: "tool-approval-response" as const,
					approvalId,
					...approvalIn(answer),
				};
			}),
		);
		await this.#conversation.add([{ role: "tool", content }]);
	}

	async #isDone(): Promise<boolean> {
		const steps = this.#steps;
		const { stopWhen } = this.#settings;
		if (stopWhen === undefined) return steps.length >= mostSteps;
		for (const holds of [stopWhen].flat())
			if (await holds({ steps: [...steps] })) return true;
		return false;
	}
}

/** All that was said, with what was approved before. From 7 on, the response of a step does not have that. */
async function responseOf(
	result: ReturnType<StreamText>,
): Promise<readonly ModelMessage[]> {
	const { responseMessages } = result as {
		responseMessages?: PromiseLike<readonly ModelMessage[]>;
	};
	return (await responseMessages) ?? (await result.response).messages;
}

function failureIn(
	part: StreamPart,
	model: AiSettings["model"],
): TurnkeeperError | null {
	const { type, error, reason, finishReason, rawFinishReason } = part;
	if (type === "error") return failureOf(error, model);
	// The run was not told to stop: it is a timeout of the settings.
	if (type === "abort")
		return brokeOff(model, reason ?? "a timeout of the settings was over");
	if (type !== "finish-step") return null;
	if (finishReason === "error")
		return brokeOff(model, "it ended with an error");
	return finishReason === "other" && rawFinishReason === undefined
		? brokeOff(model, "it ended without saying that it was whole")
		: null;
}

/** What cannot be JSON is refused by those who are to keep it. */
function jsonIn(output: JsonValue): JsonValue {
	try {
		return plain(output ?? null);
	} catch {
		return output;
	}
}

function tokensOf({ usage }: StreamPart) {
	const { inputTokens = 0, outputTokens = 0 } = usage ?? {};
	return { inputTokens, outputTokens };
}
