/**
 * Owns the switch of the page: while it is on, a model takes its time, does not listen to its signal, and breaks after it was told to stop,
 * as real ones do. Never says anything of its own.
 */
import { setTimeout as pause } from "node:timers/promises";
import type { AnswerOptions, Model, Turn } from "../chat/model.ts";

export class SlowModel implements Model {
	/** For answers that begin from now on. */
	isSlow = false;
	readonly name: string;
	readonly #model: Model;
	readonly #pieceMs: number;
	readonly #lateMs: number;

	/** `pieceMs` is added to every piece, `lateMs` is how long after its signal it breaks. */
	constructor(model: Model, { pieceMs = 250, lateMs = 2500 } = {}) {
		this.name = model.name;
		this.#model = model;
		this.#pieceMs = pieceMs;
		this.#lateMs = lateMs;
	}

	answer(
		turns: readonly Turn[],
		options: AnswerOptions,
	): AsyncGenerator<string, void> {
		return this.isSlow
			? this.#slowly(turns, options)
			: this.#model.answer(turns, options);
	}

	async *#slowly(
		turns: readonly Turn[],
		{ signal, used }: AnswerOptions,
	): AsyncGenerator<string, void> {
		// None of these keeps a process alive that is otherwise done.
		const wait = (ms: number) => pause(ms, null, { ref: false });
		const never = new AbortController().signal;
		for await (const piece of this.#model.answer(turns, {
			signal: never,
			used,
		})) {
			await wait(this.#pieceMs);
			if (signal.aborted) {
				await wait(this.#lateMs);
				throw new Error("the connection to the model was reset");
			}
			yield piece;
		}
	}
}
