/** Paths on a store that takes its time, as one on a thread or a network does: what is compared is what it has come to, not how fast. */
import type { SessionStore } from "turnkeeper";
import { memoryStore } from "turnkeeper/memory";
import { sqliteStore } from "turnkeeper/sqlite";
import {
	playPath,
	type SessionPath,
	sessionPaths,
	turns,
} from "turnkeeper/testing";
import { expect, test } from "vitest";
import { temporaryFile } from "../support/stores.ts";

/** Every answer of it comes many turns of the event loop later. */
function slowStore(inner: SessionStore): SessionStore {
	const slow = <T extends object>(store: T): T =>
		new Proxy(store, {
			get: (target, name) => {
				const value = Reflect.get(target, name, target);
				if (typeof value !== "function") return value;
				return async (...args: unknown[]) => {
					await turns(30);
					return value.apply(target, args);
				};
			},
		});
	return {
		read: async () => slow(await inner.read()),
		open: async (owner) => slow(await inner.open(owner)),
	};
}

const paths = await sessionPaths();
const some = paths.filter((_, i) => i % 16 === 0);

test.each(some)("$name", async (path) => {
	await playPath(path, slowStore(memoryStore()));
});

test.each(some)("$name, on a thread", async (path) => {
	await playPath(path, sqliteStore(temporaryFile(), { thread: true }));
});

/** A store that loses part of what it is given. */
function losing(part: "entries" | "runs"): SessionStore {
	const inner = memoryStore();
	return {
		read: () => inner.read(),
		open: async (owner) => {
			const store = await inner.open(owner);
			return new Proxy(store, {
				get: (target, name) => {
					const value = Reflect.get(target, name, target);
					if (name !== "commit")
						return typeof value === "function" ? value.bind(target) : value;
					return (batch: Parameters<typeof store.commit>[0]) =>
						store.commit({
							...batch,
							sessions: batch.sessions.map((one) => ({ ...one, [part]: [] })),
						});
				},
			});
		},
	};
}

test.each([
	["entries", "running: append [ownsLiveRun]", "the transcript"],
	["runs", "running: settled → ended [ownsLiveRun]", "the records of its runs"],
] as const)(
	"a store that loses %s is found out, by the name of the path and the step",
	async (part, transition, what) => {
		const path = paths.find(({ covers }) => covers.includes(transition));
		const playing = playPath(path as SessionPath, losing(part));
		await expect(playing).rejects.toThrow(
			`${what} is not what the machine said`,
		);
		await expect(playing).rejects.toThrow(`${path?.name}, step `);
	},
);
