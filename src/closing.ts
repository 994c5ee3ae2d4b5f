/**
 * Owns the host's own work on generations that ended (`onGenerationEnded`): called after the commit, given the grace period, called again by
 * the next process if this one did not see its end. Whatever the host's function does, the session comes to rest.
 */
import type { ClosingGeneration, EndedGeneration } from "../machines/facts.ts";
import type { Engine } from "./engine.ts";
import { errorText } from "./errors.ts";
import { readEnded } from "./reader.ts";

type Hook<Meta> = (ended: EndedGeneration<Meta>) => Promise<void> | void;

export class Closing<Meta> {
	readonly #engine: Engine<Meta>;
	readonly #hook: Hook<Meta>;
	/** Under way in this process, with how to bring its end nearer. */
	#open = new Map<string, (deadline: number) => void>();

	constructor(engine: Engine<Meta>, hook: Hook<Meta>) {
		this.#engine = engine;
		this.#hook = hook;
	}

	/** Lets the host do its work on a generation until the deadline. If it is at it, that can only come nearer. */
	begin(sessionKey: string, { generation, deadline }: ClosingGeneration): void {
		const id = `${generation}@${sessionKey}`;
		const sooner = this.#open.get(id);
		if (sooner) {
			sooner(deadline);
			return;
		}
		const { clock, logger } = this.#engine.options;
		const over = Promise.withResolvers<string>();
		let end = Number.POSITIVE_INFINITY;
		let timer: unknown = null;
		const endBy = (at: number) => {
			if (at >= end) return;
			end = at;
			clock.clearTimeout(timer);
			timer = clock.setTimeout(
				() => over.resolve("it took longer than the grace period"),
				Math.max(0, at - clock.now()),
			);
		};
		this.#open.set(id, endBy);
		endBy(deadline);
		const work = this.#call(sessionKey, generation).then(
			() => null,
			(error) => errorText(error),
		);
		void Promise.race([work, over.promise]).then((problem) => {
			end = Number.NEGATIVE_INFINITY;
			clock.clearTimeout(timer);
			if (problem !== null)
				logger.error(
					{ sessionKey, generation },
					`onGenerationEnded failed (${problem}); the session goes on`,
				);
			this.#engine.closed(sessionKey, generation, () => this.#open.delete(id));
		});
	}

	async #call(sessionKey: string, generation: number): Promise<void> {
		const ended = await readEnded<Meta>(
			this.#engine.store,
			sessionKey,
			generation,
		);
		// Purged meanwhile, there is nothing left to work on.
		if (ended) await this.#hook(ended);
	}
}
