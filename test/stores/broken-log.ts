/** Owns logs on the disk that break one rule each, as the `fault` in the URL of this module says, and hold all others. */
import { existsSync, rmSync, writeFileSync } from "node:fs";
import {
	type Batch,
	type OpenStore,
	type SessionStore,
	TurnkeeperError,
} from "turnkeeper";
import { logStore } from "../../examples/store/log-store.ts";

type Place = { readonly folder: string };

const faults: Record<
	string,
	(folder: string, store: OpenStore, name: string) => Partial<OpenStore>
> = {
	"answers before the batch is on the disk": (_, store) => {
		const answered: Batch[] = [];
		const flush = async () => {
			for (const batch of answered.splice(0)) await store.commit(batch);
		};
		return {
			async commit(batch) {
				answered.push(batch);
				// Whoever closes the log before has lost it.
				setTimeout(() => flush().catch(() => {}), 20);
			},
		};
	},
	"writes a batch in several pieces": (_, store) => ({
		async commit({ sessions, refusals }) {
			for (const write of sessions)
				await store.commit({ sessions: [write], refusals: [] });
			await store.commit({ sessions: [], refusals });
		},
	}),
	"writes down who owns it": (folder, store, name) => {
		const file = `${folder}/owned`;
		if (existsSync(file))
			throw new TurnkeeperError("STORE_LOCKED", "it is owned by first");
		writeFileSync(file, name);
		return {
			async [Symbol.asyncDispose]() {
				rmSync(file, { force: true });
				await store[Symbol.asyncDispose]();
			},
		};
	},
};

export function makeBroken(fault: string): (place: Place) => SessionStore {
	return ({ folder }) => {
		const whole = logStore(`${folder}/sessions.log`);
		return {
			read: () => whole.read(),
			async open(owner) {
				const store = await whole.open(owner);
				try {
					const own = faults[fault]?.(folder, store, owner.name) ?? {};
					return new Proxy(store, {
						get: (target, name) =>
							Reflect.get(name in own ? own : target, name),
					});
				} catch (error) {
					await store[Symbol.asyncDispose]();
					throw error;
				}
			},
		};
	};
}

const { searchParams } = new URL(import.meta.url);

export const makeStore = makeBroken(searchParams.get("fault") ?? "");
