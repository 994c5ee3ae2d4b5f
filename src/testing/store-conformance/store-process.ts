/**
 * Owns another process with a store in its hands, which does to it what it is told, one call after the other, until it is killed. Its
 * program stands here as text, so that it runs from wherever this module was bundled to.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import type { OpenStore, StoreReader } from "../../store.ts";
import type { StorePlace } from "./trial.ts";

const program = `
const [, module, place] = process.argv;
const { makeStore } = await import(module);
if (typeof makeStore !== "function") throw new Error(module + " exports no function makeStore");
const store = await makeStore(JSON.parse(place));
let held;
const calls = {
	open: async (name) => { held = await store.open({ name }); },
	read: async () => { held = await store.read(); },
	dispose: () => held[Symbol.asyncDispose](),
};
const answerOf = async ({ n, name, args }) => {
	try {
		return { n, value: await (calls[name] ? calls[name](...args) : held[name](...args)) };
	} catch ({ code, message }) {
		return { n, error: { code, message } };
	}
};
let last = Promise.resolve();
process.on("message", (call) => {
	last = last.then(async () => process.send(await answerOf(call)));
});
process.on("disconnect", () => process.exit());
process.send("ready");
`;

type Methods<Held> = Extract<
	{
		[Name in keyof Held]: Held[Name] extends (...args: never[]) => unknown
			? Name
			: never;
	}[keyof Held],
	string
>;

interface Answered {
	readonly n: number;
	readonly value?: unknown;
	readonly error?: { readonly code: string; readonly message: string };
}

interface Asker {
	readonly resolve: (value: unknown) => void;
	readonly reject: (error: Error) => void;
}

export class StoreProcess implements AsyncDisposable {
	readonly #child: ChildProcess;
	readonly #gone: Promise<unknown>;
	readonly #askers = new Map<number, Asker>();
	#calls = 0;

	private constructor(module: string, place: StorePlace) {
		this.#child = spawn(
			process.execPath,
			["--input-type=module", "--eval", program, module, JSON.stringify(place)],
			{
				stdio: ["ignore", "inherit", "inherit", "ipc"],
				serialization: "advanced",
			},
		);
		this.#gone = once(this.#child, "close");
		this.#child.on("message", (said) => {
			if (typeof said !== "string") this.#hear(said as Answered);
		});
		this.#child.once("close", () => {
			for (const { reject } of this.#askers.values())
				reject(new Error("the process ended"));
			this.#askers.clear();
		});
	}

	static async start(module: string, place: StorePlace): Promise<StoreProcess> {
		const started = new StoreProcess(module, place);
		await Promise.race([
			once(started.#child, "message"),
			started.#gone.then(() => {
				throw new Error(
					`the process with the store of ${module} ended before it was ready; the module must load in a plain Node process and export makeStore`,
				);
			}),
		]);
		return started;
	}

	get pid(): number {
		return this.#child.pid as number;
	}

	async open(name: string): Promise<void> {
		await this.#ask("open", [name]);
	}

	async read(): Promise<void> {
		await this.#ask("read", []);
	}

	async dispose(): Promise<void> {
		await this.#ask("dispose", []);
	}

	/** A method of the store or reader that is held there. Calls are done in order, none before the one before it has its answer. */
	call<Name extends Methods<OpenStore>>(
		name: Name,
		...args: Parameters<OpenStore[Name]>
	): ReturnType<OpenStore[Name]>;
	call<Name extends Methods<StoreReader>>(
		name: Name,
		...args: Parameters<StoreReader[Name]>
	): ReturnType<StoreReader[Name]>;
	call(name: string, ...args: readonly unknown[]): Promise<unknown> {
		return this.#ask(name, args);
	}

	/** kill -9; resolves once the process is gone and all that it said was heard. */
	async kill(): Promise<void> {
		this.#child.kill("SIGKILL");
		await this.#gone;
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.kill();
	}

	#ask(name: string, args: readonly unknown[]): Promise<unknown> {
		const n = this.#calls++;
		return new Promise((resolve, reject) => {
			this.#askers.set(n, { resolve, reject });
			this.#child.send({ n, name, args }, (error) => {
				if (error && this.#askers.delete(n)) reject(error);
			});
		});
	}

	#hear({ n, value, error }: Answered): void {
		const asker = this.#askers.get(n);
		this.#askers.delete(n);
		if (error) asker?.reject(Object.assign(new Error(error.message), error));
		else asker?.resolve(value);
	}
}
