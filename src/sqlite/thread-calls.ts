/** Owns what a store's host and its thread say to each other: which calls there are, and what stands in a message. */
import type { OpenStore, StoreReader } from "../store.ts";
import type { CarriedError } from "./thread-error.ts";

type MethodOf<Store> = Extract<keyof Store, string>;

const ofReader: Record<MethodOf<StoreReader>, true> = {
	load: true,
	version: true,
	message: true,
	runsNamed: true,
	list: true,
	generations: true,
	generation: true,
	runs: true,
	transcript: true,
	refusals: true,
};
const ofOwner: Record<MethodOf<OpenStore>, true> = {
	...ofReader,
	commit: true,
	unsettled: true,
	prune: true,
};

export type CallName = MethodOf<OpenStore>;

/** The methods that a host calls on a store which is on a thread; each is called there by the same name. */
export const callNames = {
	reader: Object.keys(ofReader) as readonly MethodOf<StoreReader>[],
	owner: Object.keys(ofOwner) as readonly CallName[],
};

/** What a thread is for. */
export type Task =
	| {
			readonly as: "owner";
			readonly place: string;
			readonly synchronous: "full" | "normal";
	  }
	| { readonly as: "reader"; readonly place: string };

/** The number of a call, its name and its arguments; null: close the store and end. Carried out in the order in which they come. */
export type Asked =
	| readonly [n: number, name: CallName, args: readonly unknown[]]
	| null;

/** The answer to the call of this number, or what it threw. Number 0 is the opening. */
export type Answered = readonly [
	n: number,
	value?: unknown,
	error?: CarriedError,
];
