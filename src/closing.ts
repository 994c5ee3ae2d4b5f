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
	/** Under way in this process. */
	#open = new Set<string>();

	constructor(engine: Engine<Meta>, hook: Hook<Meta>) {
		this.#engine = engine;
		this.#hook = hook;
	}

	/** Lets the host do its work on a generation, unless it is at it. */
	begin(sessionKey: string, closing: ClosingGeneration): void {
		const { generation } = closing;
		const id = `${generation}@${sessionKey}`;
		if (this.#open.has(id)) return;
		this.#open.add(id);
		const { clock, logger } = this.#engine.options;
		const over = Promise.withResolvers<string>();
		const timer = clock.setTimeout(
			() => over.resolve("it took longer than the grace period"),
			Math.max(0, closing.deadline - clock.now()),
		);
		const work = this.#call(sessionKey, generation).then(
			() => null,
			(error) => errorText(error),
		);
		void Promise.race([work, over.promise]).then((problem) => {
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
