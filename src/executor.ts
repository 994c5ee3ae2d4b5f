/** Owns the call of the host's executor: what it is given, and that whatever it does becomes the end of its run and nothing else. */
import type { Message, QueuedMessage } from "../machines/facts.ts";
import { messageOf } from "../machines/lifecycle.ts";
import { checkSchema, copied, shown } from "./arguments.ts";
import type { Config } from "./config.ts";
import type { Engine } from "./engine.ts";
import { errorText, isAbort } from "./errors.ts";
import { ManagedHandle } from "./handles.ts";
import type { LiveRun } from "./registry.ts";
import type { Turn } from "./turn.ts";

export class Executor<Input, Output, Meta> {
	readonly #engine: Engine<Meta>;
	readonly #config: Config<Input, Output, Meta>;

	constructor(engine: Engine<Meta>, config: Config<Input, Output, Meta>) {
		this.#engine = engine;
		this.#config = config;
	}

	/** Runs the host's executor to its end, however it ends. */
	execute(live: LiveRun, { messages }: NonNullable<Turn["start"]>): void {
		void this.#run(live, messages).then((end) =>
			this.#engine.settle(live, end),
		);
	}

	async #run(
		live: LiveRun,
		messages: readonly QueuedMessage[],
	): Promise<{ outcome: "completed" | "failed"; error?: string }> {
		const { execute, schemas } = this.#config;
		try {
			const inputs: Message<Input>[] = [];
			for (const message of messages) {
				// A copy: what the executor does to it is not done to what was accepted.
				const input = copied(message.input);
				inputs.push({
					...messageOf(message),
					input: schemas
						? await checkSchema(
								schemas.input,
								input,
								`input of message ${shown(message.messageId)}`,
							)
						: (input as Input),
				});
			}
			const run = new ManagedHandle<Input, Meta>(this.#engine, live, inputs);
			const output = await execute?.(run);
			live.output = schemas?.output
				? await checkSchema(schemas.output, output, "output")
				: output;
			return { outcome: "completed" };
		} catch (error) {
			// That a stopped run stopped is no error.
			return live.isAborted && isAbort(error)
				? { outcome: "failed" }
				: { outcome: "failed", error: errorText(error) };
		}
	}
}
