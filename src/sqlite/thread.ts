/**
 * Owns the host's side of a store on a thread of its own: the thread from its start to its end, and the calls that wait for its answers.
 * What is asked goes over as it is, copied by the platform: of the ways to move a batch the one that takes the host the least time.
 */
import { existsSync } from "node:fs";
import { type ResourceLimits, Worker } from "node:worker_threads";
import { invalid } from "../arguments.ts";
import { errorText, TurnkeeperError } from "../errors.ts";
import type { OpenStore, StoreReader } from "../store.ts";
import { closedError, storeFailure } from "./failure.ts";
import type { Opener } from "./opening.ts";
import {
	type Answered,
	type Asked,
	type CallName,
	callNames,
	type Task,
} from "./thread-calls.ts";
import { restored } from "./thread-error.ts";

/** Another program for the thread than the one that comes with the package: it imports that one, and may change what it does. */
export interface ThreadProgram {
	readonly module: URL;
	/** What the program finds beside the task, as `workerData.given`. */
	readonly given?: unknown;
	readonly resourceLimits?: ResourceLimits;
}

/** Opens each database on a thread of its own. */
export function onThread(
	synchronous: "full" | "normal",
	program?: ThreadProgram,
): Opener {
	return {
		async own(place, closed) {
			const task: Task = { as: "owner", place, synchronous };
			const thread = await Thread.start(task, program);
			return storeOn(thread, callNames.owner, closed) as OpenStore;
		},
		async read(place) {
			const thread = await Thread.start({ as: "reader", place }, program);
			return storeOn(thread, callNames.reader, () => {}) as StoreReader;
		},
	};
}

/** Every method of the store, asked of its thread. */
function storeOn(
	thread: Thread,
	names: readonly CallName[],
	closed: () => void,
): Partial<OpenStore> {
	let closing: Promise<void> | undefined;
	return {
		...Object.fromEntries(
			names.map((name) => [
				name,
				(...args: readonly unknown[]) => thread.ask(name, args),
			]),
		),
		[Symbol.asyncDispose]: () => {
			closing ??= thread.close().finally(closed);
			return closing;
		},
	};
}

class Thread {
	readonly #place: string;
	readonly #worker: Worker;
	/** Calls that have no answer yet, by number. The thread keeps the process alive as long as there are any. */
	readonly #waiting = new Map<number, PromiseWithResolvers<unknown>>();
	readonly #ended = Promise.withResolvers<void>();
	#calls = 0;
	#isClosed = false;
	#isDead = false;
	#diedOf: unknown;

	private constructor(task: Task, program: ThreadProgram | undefined) {
		this.#place = task.place;
		this.#worker = new Worker(program?.module ?? ownModule(), {
			name: "turnkeeper store",
			workerData: { task, given: program?.given },
			// What the host's program was started with (--eval, --import) is not for this one.
			execArgv: [],
			...(program?.resourceLimits && {
				resourceLimits: program.resourceLimits,
			}),
		});
		this.#worker.on("message", (answered) => this.#hear(answered));
		this.#worker.on("error", (error) => {
			this.#diedOf = error;
		});
		this.#worker.on("exit", (code) => this.#die(code));
	}

	/** Resolves once the store is open. */
	static async start(task: Task, program?: ThreadProgram): Promise<Thread> {
		let thread: Thread | undefined;
		try {
			thread = new Thread(task, program);
			await thread.#answerTo(0);
			return thread;
		} catch (error) {
			if (thread) await thread.#end();
			const attempt = task.as === "owner" ? "opened" : "read";
			throw storeFailure(task.place, attempt, error);
		}
	}

	async ask(name: CallName, args: readonly unknown[]): Promise<unknown> {
		if (this.#isClosed) throw closedError(this.#place);
		if (this.#isDead) throw this.#lostError();
		const n = ++this.#calls;
		try {
			this.#worker.postMessage([n, name, args] satisfies Asked);
		} catch (error) {
			throw invalid(
				`${name} was given what no thread can be handed (${errorText(error)}); it must be plain data`,
			);
		}
		return this.#answerTo(n);
	}

	/** Resolves once all that was asked before is answered and the thread has ended. One that has died has nothing left to give back. */
	async close(): Promise<void> {
		this.#isClosed = true;
		this.#worker.postMessage(null satisfies Asked);
		await this.#end();
	}

	/** The process stays until it has come. */
	#end(): Promise<void> {
		this.#worker.ref();
		return this.#ended.promise;
	}

	#answerTo(n: number): Promise<unknown> {
		const waiting = Promise.withResolvers<unknown>();
		if (this.#waiting.size === 0) this.#worker.ref();
		this.#waiting.set(n, waiting);
		return waiting.promise;
	}

	#hear([n, value, error]: Answered): void {
		const waiting = this.#waiting.get(n);
		this.#waiting.delete(n);
		if (this.#waiting.size === 0 && !this.#isClosed) this.#worker.unref();
		if (error) waiting?.reject(restored(error));
		else waiting?.resolve(value);
	}

	#die(code: number): void {
		this.#isDead = true;
		this.#diedOf ??= new Error(`it ended with exit code ${code}`);
		for (const [n, { reject }] of this.#waiting)
			reject(n === 0 ? this.#diedOf : this.#lostError());
		this.#waiting.clear();
		this.#ended.resolve();
	}

	#lostError(): TurnkeeperError {
		const cause = this.#diedOf;
		return new TurnkeeperError(
			"STORE_FAILED",
			`the store ${this.#place} has lost its thread (${errorText(cause)}); close it and open it again`,
			{ cause },
		);
	}
}

/** Beside this file, in the sources as in the package. */
function ownModule(): URL {
	// A bundle as CommonJS knows no URL of its own.
	const url: string | undefined = import.meta.url;
	const name = url?.endsWith(".ts") ? "thread-worker.ts" : "thread-worker.js";
	const module = URL.parse(name, url);
	if (module && existsSync(module)) return module;
	throw new Error(
		`${name}, the program of its thread, is not beside the file that it is opened from (${url ?? "a bundle"}); the package has it there, so leave turnkeeper out of a bundle`,
	);
}
