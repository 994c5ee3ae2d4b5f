/** Owns the call of the host's executor: what it is given, and that whatever it does becomes the end of its run and nothing else. */
import type { Message, QueuedMessage } from "../machines/facts.ts";
import { messageOf } from "../machines/line.ts";
import { checkSchema, copied, shown } from "./arguments.ts";
import type { Config } from "./config.ts";
import type { Engine } from "./engine.ts";
import { errorText, isAbort } from "./errors.ts";
import { type Doors, ManagedHandle } from "./handles.ts";
import type { LiveRun } from "./registry.ts";
import { Steering } from "./steering.ts";
import type { Turn } from "./turn.ts";

type End = { outcome: "completed" | "failed"; error?: string };

export class Executor<Input, Output, Meta> {
	readonly #engine: Engine<Meta>;
	readonly #config: Config<Input, Output, Meta>;
	readonly #doors: Doors<Meta>;

	constructor(doors: Doors<Meta>, config: Config<Input, Output, Meta>) {
		this.#engine = doors.engine;
		this.#config = config;
		this.#doors = doors;
	}

	/** Runs the host's executor to its end, however it ends. */
	execute(live: LiveRun, { messages }: NonNullable<Turn["start"]>): void {
		void this.#run(live, messages).then((end) => this.#finish(live, end));
	}

	async #run(live: LiveRun, messages: readonly QueuedMessage[]): Promise<End> {
		const { execute, schemas } = this.#config;
		try {
			const inputs: Message<Input>[] = [];
			for (const message of messages) {
				const opened = this.#open(messageOf(message));
				inputs.push(opened instanceof Promise ? await opened : opened);
			}
			const ids = skippedBy(messages);
			const run = new ManagedHandle<Input, Meta>(this.#doors, live, {
				messages: inputs,
				skipped: ids.length > 0 ? await this.#passedOver(live, ids) : none,
				steering: () =>
					new Steering(this.#engine, live, (message) => this.#open(message)),
			});
			// Told to stop while its messages were looked at, it never begins.
			if (live.isAborted) return { outcome: "failed" };
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

	/** A message as the executor gets it. A copy: what it does to it is not done to what was accepted. */
	#open(message: Message): Message<Input> | Promise<Message<Input>> {
		const { schemas } = this.#config;
		const input = copied(message.input);
		if (!schemas) return { ...message, input: input as Input };
		const name = `input of message ${shown(message.messageId)}`;
		const checked = checkSchema(schemas.input, input, name);
		return checked instanceof Promise
			? checked.then((late) => ({ ...message, input: late }))
			: { ...message, input: checked };
	}

	/** Messages that were passed over for these; what cannot be read, or no longer fits its schema, is no reason to run nothing. */
	async #passedOver(
		{ ticket }: LiveRun,
		ids: readonly string[],
	): Promise<readonly Message<Input>[]> {
		const found = await Promise.all(
			ids.map(async (messageId) => {
				try {
					const { store } = this.#engine;
					const kept = await store.message(ticket.sessionKey, messageId);
					return kept ? await this.#open(messageOf(kept)) : null;
				} catch {
					return null;
				}
			}),
		);
		return found.filter((message) => message !== null);
	}

	/** Before its end is committed, all that the run has begun comes to an end: children, deliveries, its scope. */
	async #finish(live: LiveRun, end: End): Promise<void> {
		live.return();
		if (this.#isBusy(live)) await this.#rest(live);
		const disposed = this.#engine.runs.disposeScope(live);
		if (disposed) {
			await disposed;
			// What is disposed may begin something for the last time.
			await this.#rest(live);
		}
		this.#engine.runs.settle(live, end);
	}

	/** Resolves when nothing that the run has begun is under way. */
	async #rest(live: LiveRun): Promise<void> {
		const { children } = this.#engine.runs;
		while (this.#isBusy(live)) {
			children.stop(live.ticket, this.#deadline(live));
			await children.settled(live.ticket);
			await Promise.allSettled(live.pending);
		}
	}

	#isBusy(live: LiveRun): boolean {
		return live.hasPending || this.#engine.runs.children.has(live.ticket);
	}

	#deadline(live: LiveRun): number {
		const { clock, graceMs } = this.#config;
		const left = Math.max(0, live.deadline - clock.monotonic());
		return clock.now() + Math.min(left, graceMs);
	}
}

const none: readonly never[] = Object.freeze([]);

/** Ids of messages that were passed over for these. */
export function skippedBy(
	messages: readonly QueuedMessage[],
): readonly string[] {
	return messages.every(({ skipped }) => skipped.length === 0)
		? none
		: messages.flatMap(({ skipped }) => skipped);
}
