/** Owns the thread's side of a store on a thread of its own: opens the database, does what is asked in the order it comes, and answers each call. */
import { type MessagePort, parentPort, workerData } from "node:worker_threads";
import { Database } from "./database.ts";
import { OwnedStore } from "./owned-store.ts";
import { SqliteReader } from "./reader.ts";
import type { Answered, Asked, Task } from "./thread-calls.ts";
import { carried } from "./thread-error.ts";

type Method = (...args: unknown[]) => Promise<unknown>;

function openFor(task: Task): OwnedStore | SqliteReader {
	return task.as === "owner"
		? OwnedStore.open(task.place, task.synchronous)
		: new SqliteReader(Database.openAsReader(task.place));
}

function serve(port: MessagePort, task: Task): void {
	const answer = (...answered: Answered) => port.postMessage(answered);
	let store: OwnedStore | SqliteReader;
	try {
		store = openFor(task);
	} catch (error) {
		answer(0, undefined, carried(error));
		return;
	}
	port.on("message", async (asked: Asked) => {
		if (asked === null) {
			await store[Symbol.asyncDispose]();
			end(port);
			return;
		}
		const [n, name, args] = asked;
		try {
			// The host's side asks an owner's calls of an owner alone.
			const method = (store as OwnedStore)[name] as Method;
			answer(n, await method.apply(store, [...args]));
		} catch (error) {
			answer(n, undefined, carried(error));
		}
	});
	answer(0);
}

/** Without its port the thread has nothing left to do. Deno's ports cannot be closed, its threads can. */
function end(port: Partial<MessagePort>): void {
	if (port.close) port.close();
	else (globalThis as { close?: () => void }).close?.();
}

if (parentPort) serve(parentPort, workerData.task);
