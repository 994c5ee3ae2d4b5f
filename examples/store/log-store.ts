/**
 * A store of one's own: a log on the disk, a line for each batch, and a memory store that has read it. Owns the lines; what they mean is
 * the memory store's. It shows how a store is written and proven. It is not for many sessions: all of them are in memory, and the log only
 * grows.
 */
import {
	closeSync,
	fdatasyncSync,
	fstatSync,
	ftruncateSync,
	openSync,
	readFileSync,
	readSync,
	writeFileSync,
	writeSync,
} from "node:fs";
import { DatabaseSync } from "node:sqlite";
import {
	type Batch,
	type OpenStore,
	type PruneRule,
	type SessionStore,
	type StoreReader,
	TurnkeeperError,
} from "turnkeeper";
import { memoryStore } from "turnkeeper/memory";

/** A line of the log: what an owner was asked to write. Refused once, it is refused by whoever reads it again. */
type Line =
	| { readonly commit: Batch }
	| { readonly prune: readonly [PruneRule, number] };

/** What became of a line. */
type Outcome = { readonly value: unknown } | { readonly error: unknown };

/**
 * A store in the log at `path`.
 *
 * @example const runtime = createSessionRuntime({ store: logStore("/data/sessions.log"), execute });
 */
export function logStore(path: string): SessionStore {
	return {
		async open({ name }) {
			const lock = locked(path, name);
			const log = await Log.open(path);
			log.dropHalfLine();
			return handsOn(log, {
				commit: (batch: Batch) => log.write({ commit: batch }),
				prune: (rule: PruneRule, limit: number) =>
					log.write({ prune: [rule, limit] }),
				[Symbol.asyncDispose]: async () => {
					log.close();
					if (lock.isOpen) lock.close();
				},
			}) as OpenStore;
		},
		async read() {
			const log = await Log.open(path);
			return handsOn(log, { [Symbol.asyncDispose]: async () => log.close() });
		},
	};
}

/** The conformance suite's way to a store of its own, also in the processes that it kills. */
export const makeStore = ({ folder }: { readonly folder: string }) =>
	logStore(`${folder}/sessions.log`);

class Log {
	readonly #fd: number;
	readonly #memory: OpenStore;
	#open = true;
	#read = 0;
	#last: Promise<unknown> = Promise.resolve();

	private constructor(fd: number, memory: OpenStore) {
		this.#fd = fd;
		this.#memory = memory;
	}

	static async open(path: string): Promise<Log> {
		const memory = await memoryStore().open({ name: path });
		return new Log(openSync(path, "a+"), memory);
	}

	/** The memory store, with all that the log has by now. */
	current(): Promise<OpenStore> {
		return this.#next(async () => {
			await this.#readOn();
			return this.#memory;
		});
	}

	/** On the disk first. Only then does it happen, to the writer as to every reader. */
	write(line: Line): Promise<unknown> {
		return this.#next(async () => {
			await this.#readOn();
			this.#append(`${JSON.stringify(line)}\n`);
			const outcome = await this.#readOn();
			if (outcome && "error" in outcome) throw outcome.error;
			return outcome?.value;
		});
	}

	/** What a writer that died has begun is nothing. */
	dropHalfLine(): void {
		const text = readFileSync(this.#fd);
		ftruncateSync(this.#fd, text.lastIndexOf("\n") + 1);
	}

	close(): void {
		if (this.#open) closeSync(this.#fd);
		this.#open = false;
	}

	/** One step after the other, so that each line is read once, and a writer sees what became of its own. */
	#next<Result>(step: () => Promise<Result>): Promise<Result> {
		const done = this.#last.then(() => {
			if (this.#open) return step();
			throw new TurnkeeperError("STORE_FAILED", "the log is closed");
		});
		this.#last = done.catch(() => {});
		return done;
	}

	#append(text: string): void {
		const end = fstatSync(this.#fd).size;
		try {
			writeSync(this.#fd, text);
			fdatasyncSync(this.#fd);
		} catch (cause) {
			ftruncateSync(this.#fd, end);
			throw new TurnkeeperError("STORE_FAILED", "the disk refused the batch", {
				cause,
			});
		}
	}

	/** What became of the last line that is new. */
	async #readOn(): Promise<Outcome | undefined> {
		const unread = Buffer.alloc(
			Math.max(0, fstatSync(this.#fd).size - this.#read),
		);
		readSync(this.#fd, unread, 0, unread.length, this.#read);
		const whole = unread.subarray(0, unread.lastIndexOf("\n") + 1);
		this.#read += whole.length;
		let outcome: Outcome | undefined;
		for (const text of whole.toString().split("\n").slice(0, -1))
			outcome = await this.#apply(JSON.parse(text));
		return outcome;
	}

	#apply(line: Line): Promise<Outcome> {
		const done: Promise<unknown> =
			"commit" in line
				? this.#memory.commit(line.commit)
				: this.#memory.prune(...line.prune);
		return done.then(
			(value) => ({ value }),
			(error) => ({ error }),
		);
	}
}

/** A transaction held open on a side file: the kernel ends it with the process, whatever that dies of. */
function locked(path: string, name: string): DatabaseSync {
	const lock = new DatabaseSync(`${path}.lock`);
	try {
		lock.exec("BEGIN EXCLUSIVE");
	} catch (cause) {
		lock.close();
		const owner = readFileSync(`${path}.owner`, "utf8");
		throw new TurnkeeperError("STORE_LOCKED", `${path} is owned by ${owner}`, {
			cause,
		});
	}
	writeFileSync(`${path}.owner`, name);
	return lock;
}

/** A store whose questions go to the memory store, once that has read all there is; the rest it does itself. */
function handsOn(log: Log, own: object): StoreReader {
	return new Proxy(own as StoreReader, {
		get(_, name) {
			if (name in own) return Reflect.get(own, name);
			if (name === "then") return undefined;
			return async (...args: readonly unknown[]) => {
				const memory = await log.current();
				return Reflect.apply(Reflect.get(memory, name), memory, args);
			};
		},
	});
}
