/** Owns the order in which calls come in: by session key, as they were made, also where a host's schema takes its time over one of them. */

export class Entrance {
	#last = new Map<string, Promise<void>>();
	/** How to refuse those who wait. */
	#waiting = new Set<(error: Error) => void>();

	/** Whoever still waits is refused. */
	close(error: Error): void {
		for (const refuse of this.#waiting) refuse(error);
		this.#waiting.clear();
	}

	/** Calls `enter` with what was checked: at once, or after all calls of that key that came before. */
	pass<Checked, Answer>(
		key: string,
		checked: Checked | Promise<Checked>,
		enter: (checked: Checked) => Promise<Answer>,
	): Promise<Answer> {
		const before = this.#last.get(key);
		if (!before && !(checked instanceof Promise)) return enter(checked);
		return this.#line(key, before, this.#wait(before, checked, enter));
	}

	/** As `pass`, but waits for nobody: a message that its schema cannot decide on holds up no reset (RQ-08). */
	overtake<Checked, Answer>(
		key: string,
		checked: Checked | Promise<Checked>,
		enter: (checked: Checked) => Promise<Answer>,
	): Promise<Answer> {
		if (!(checked instanceof Promise)) return enter(checked);
		const before = this.#last.get(key);
		return this.#line(key, before, this.#wait(undefined, checked, enter));
	}

	/** Who comes later waits for this call and for those before it. */
	async #line<Answer>(
		key: string,
		before: Promise<void> | undefined,
		entered: Promise<{ answer: Promise<Answer> }>,
	): Promise<Answer> {
		const over = Promise.allSettled([before, entered]).then(() => {});
		this.#last.set(key, over);
		void over.then(() => {
			if (this.#last.get(key) === over) this.#last.delete(key);
		});
		return (await entered).answer;
	}

	/** Resolves when it has entered, not when it is answered. */
	async #wait<Checked, Answer>(
		before: Promise<void> | undefined,
		checked: Checked | Promise<Checked>,
		enter: (checked: Checked) => Promise<Answer>,
	): Promise<{ answer: Promise<Answer> }> {
		const ready = Promise.all([checked, before]).then(([first]) => first);
		return { answer: enter(await this.guard(ready)) };
	}

	/** What a host's function comes to, or the refusal if the entrance closes first. */
	async guard<Checked>(checked: Checked | Promise<Checked>): Promise<Checked> {
		if (!(checked instanceof Promise)) return checked;
		const { promise, resolve, reject } = Promise.withResolvers<Checked>();
		this.#waiting.add(reject);
		checked.then(resolve, reject);
		try {
			return await promise;
		} finally {
			this.#waiting.delete(reject);
		}
	}
}
