/**
 * Owns the messages that steer a run while it runs: each is handed over by a commit before its executor sees it, and none once the run was
 * told to stop or its executor has returned. What is left stays in line.
 */
import type {
	Message,
	QueuedMessage,
	SessionFacts,
} from "../machines/facts.ts";
import { messageOf } from "../machines/line.ts";
import type { RunFacts } from "../machines/run.ts";
import type { Engine } from "./engine.ts";
import type { LiveRun } from "./registry.ts";
import type { Steering as SteeringMessages } from "./runtime.ts";
import type { Turn } from "./turn.ts";

type Open<Input> = (
	message: Message,
) => Message<Input> | Promise<Message<Input>>;

export class Steering<Input, Meta> implements SteeringMessages<Input> {
	readonly #engine: Engine<Meta>;
	readonly #live: LiveRun;
	/** Checks and copies an input, as for any message that is taken. */
	readonly #open: Open<Input>;
	/** One at a time, in the order of the calls. */
	#last: Promise<unknown> = Promise.resolve();
	#wake: (() => void) | null = null;

	constructor(engine: Engine<Meta>, live: LiveRun, open: Open<Input>) {
		this.#engine = engine;
		this.#live = live;
		this.#open = open;
	}

	[Symbol.asyncIterator](): AsyncIterator<Message<Input>, undefined> {
		return {
			next: () => {
				const next = this.#last.then(() => this.#next(true));
				this.#last = next.catch(() => {});
				return next;
			},
			return: async () => ({ done: true, value: undefined }),
		};
	}

	/** Not behind those who wait for a message that is still to come. */
	take(): Promise<Message<Input> | null> {
		const next = this.#next(false).then(({ value }) => value ?? null);
		// One whose input its schema refuses must not cost the process its life.
		next.catch(() => {});
		return next;
	}

	get #isOver(): boolean {
		return this.#live.isAborted || this.#live.isReturned;
	}

	async #next(
		waits: boolean,
	): Promise<IteratorResult<Message<Input>, undefined>> {
		const live = this.#live;
		const ended = Promise.withResolvers<null>();
		const over = () => {
			this.#wake?.();
			ended.resolve(null);
		};
		const owned = {
			see: (run: RunFacts, { queue }: SessionFacts) => {
				if (queue.some(({ steers }) => steers === run.runId)) this.#wake?.();
			},
			stop: over,
			returned: over,
			release: over,
		};
		live.own(owned);
		try {
			while (!this.#isOver) {
				const woken = waits ? this.#woken() : null;
				const message = await this.#pull(ended.promise);
				if (message) return { done: false, value: message };
				if (!woken) break;
				if (!this.#isOver) await woken;
			}
			return { done: true, value: undefined };
		} finally {
			live.disown(owned);
		}
	}

	#woken(): Promise<void> {
		return new Promise((resolve) => {
			this.#wake = resolve;
		});
	}

	/** Takes the next message for this run, if there is one; tried until that is stored. */
	#pull(ended: Promise<null>): Promise<Message<Input> | null> {
		const engine = this.#engine;
		const live = this.#live;
		const { sessionKey } = live.ticket;
		return new Promise((resolve) => {
			const pull = {
				event: () =>
					this.#isOver
						? null
						: ({
								type: "pull",
								at: engine.now(),
								ticket: live.ticket,
							} as const),
				amend: ({ reply }: Turn) => {
					// Until its executor has it in hand, it goes back into line if the run ends.
					if (reply?.result === "pulled")
						live.unread = [
							...without(live.unread, reply.message),
							reply.message,
						];
				},
				committed: ({ reply }: Turn) =>
					resolve(
						reply?.result === "pulled" ? this.#hand(reply.message) : null,
					),
			};
			engine.keep(sessionKey, pull, () => resolve(null));
			// While the store is sick, a pull takes as long; who is told to stop before it is stored need not wait for it.
			void ended.then(resolve);
		});
	}

	/** Null if the run came to its end or was told to stop before it has it in hand. */
	async #hand(taken: QueuedMessage): Promise<Message<Input> | null> {
		const live = this.#live;
		if (this.#isOver) return null;
		try {
			const opened = this.#open(messageOf(taken));
			const message = opened instanceof Promise ? await opened : opened;
			return this.#isOver ? null : message;
		} finally {
			// One that its schema refuses was looked at, too.
			if (!this.#isOver) {
				live.unread = without(live.unread, taken);
				live.messages = [...live.messages, taken];
			}
		}
	}
}

function without(
	messages: readonly QueuedMessage[],
	taken: QueuedMessage,
): readonly QueuedMessage[] {
	return messages.filter(({ messageId }) => messageId !== taken.messageId);
}
