/**
 * Owns stores on a thread for suites that look at what a few turns of the event loop have come to: while the thread owes an answer, a turn
 * is not over. Everything else is as it always is on a thread: an answer never comes before the call has returned.
 */
import type { OpenStore, SessionStore } from "turnkeeper";
import { sqliteStore } from "turnkeeper/sqlite";
import { temporaryFile } from "./stores.ts";

const owed = new Set<Promise<unknown>>();

function owe<T>(call: Promise<T>): Promise<T> {
	owed.add(call);
	const paid = () => {
		owed.delete(call);
	};
	call.then(paid, paid);
	return call;
}

const turn = globalThis.setImmediate;

/** Callbacks keep their order, since each waits for all that is owed. */
function afterAnswers<Args extends unknown[]>(
	f: (...args: Args) => void,
	...args: Args
): NodeJS.Immediate {
	const due = async () => {
		while (owed.size > 0) await Promise.allSettled(owed);
		f(...args);
	};
	return turn(due);
}

/** A fresh store on a thread, read on this one. From its first on, turns wait. */
export function threadStore(): SessionStore {
	globalThis.setImmediate = Object.assign(afterAnswers, {
		__promisify__: turn.__promisify__,
	});
	const file = temporaryFile();
	return {
		read: () => sqliteStore(file).read(),
		async open(owner) {
			const store = await owe(sqliteStore(file, { thread: true }).open(owner));
			return new Proxy(store, {
				get: (target, name: keyof OpenStore) => {
					const method = Reflect.get(target, name, target) as unknown;
					if (typeof method !== "function") return method;
					return (...args: unknown[]) => owe(method.apply(target, args));
				},
			});
		},
	};
}
