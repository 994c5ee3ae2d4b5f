/** Owns what most tests of the runtime begin with: a host whose runs end when the test says so, and a look at what is still open. */
import type { JsonValue, RuntimeOptions, SessionStore } from "turnkeeper";
import { type Host, Scripted, startHost } from "./host.ts";
import { turns } from "./turns.ts";

export type ScriptedHost = Host & { readonly scripted: Scripted };

export async function startScripted(
	store: SessionStore,
	options: Partial<RuntimeOptions<JsonValue, unknown, JsonValue>> = {},
): Promise<ScriptedHost> {
	const scripted = new Scripted();
	const host = await startHost(store, {
		execute: scripted.execute,
		...options,
	});
	return { ...host, scripted };
}

/** What a promise has come to by now; 'pending' if it waits for something that has not happened. */
export async function now<T>(promise: Promise<T>): Promise<T | "pending"> {
	return Promise.race([promise, turns().then(() => "pending" as const)]);
}

/** The code of the error that a promise rejects with, or what it resolved with. */
export async function codeOf(promise: Promise<unknown>): Promise<unknown> {
	return promise.then(
		(value) => ({ resolved: value }),
		(error) => error?.code ?? error,
	);
}

/** A value as somebody without a type checker would pass it. */
export function wrong(value: unknown): never {
	return value as never;
}
