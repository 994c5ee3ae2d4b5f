/**
 * Owns what calls of tools are called where they are kept. The id that a provider gives a call is another each time it is asked, so a
 * later attempt of the run would know none of them again: a call goes by its tool, its input, and which of the like calls it is.
 */
import { createHash } from "node:crypto";
import { canonical } from "./plain.ts";

export interface Call {
	readonly toolCallId: string;
	readonly toolName: string;
	readonly input: unknown;
}

const known = new WeakMap<object, CallNames>();

export class CallNames {
	/** One set of names a run, also where its executor asks a model several times over. */
	static of(run: object): CallNames {
		const names = known.get(run) ?? new CallNames();
		known.set(run, names);
		return names;
	}

	/** Of calls that were named to be approved and are to be carried out. */
	readonly #named = new Map<string, string>();
	readonly #counts = new Map<string, number>();

	/** For a call that waits; it keeps its name until it is carried out. Some providers count their calls anew in each step. */
	hold(calls: readonly Call[]): readonly string[] {
		this.#named.clear();
		return calls.map((call) => {
			const alike = alikeOf(call);
			const name = this.#next(alike);
			this.#named.set(`${call.toolCallId} ${alike}`, name);
			return name;
		});
	}

	/** For a call that is carried out; whether it was held. */
	take(call: Call): { readonly name: string; readonly wasHeld: boolean } {
		const alike = alikeOf(call);
		const id = `${call.toolCallId} ${alike}`;
		const held = this.#named.get(id);
		this.#named.delete(id);
		return { name: held ?? this.#next(alike), wasHeld: held !== undefined };
	}

	#next(alike: string): string {
		const count = (this.#counts.get(alike) ?? 0) + 1;
		this.#counts.set(alike, count);
		return count === 1 ? alike : `${alike} ${count}`;
	}
}

function alikeOf({ toolName, input }: Call): string {
	const hash = createHash("sha256").update(canonical(input)).digest("hex");
	return `${toolName} ${hash.slice(0, 12)}`;
}
