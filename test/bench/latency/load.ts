/** Owns load on a host: as much as it takes, and half of that at a steady rate, whatever becomes of what was sent. */
import { createSessionRuntime, type SessionStore } from "turnkeeper";
import { keysOf } from "../contender.ts";
import { rateOf } from "../rounds.ts";
import { type StoreKind, storeOf } from "../store.ts";

const sessions = 1000;

export class LoadedHost {
	readonly runtime;
	readonly keys = keysOf(sessions);
	/** Turns per second that it takes when the next are sent as soon as the last have ended. */
	capacity = 0;

	private constructor(store: SessionStore) {
		this.runtime = createSessionRuntime<string, string>({
			store,
			execute: async () => "done",
		});
	}

	/** With its capacity measured for so long, after five times as long to warm up. */
	static async start(
		kind: StoreKind,
		folder: string,
		measureMs: number,
	): Promise<LoadedHost> {
		const { store } = await storeOf(kind, folder);
		const host = new LoadedHost(store);
		await host.runtime.start();
		await host.#measure(5 * measureMs);
		host.capacity = await host.#measure(measureMs);
		return host;
	}

	#measure(ms: number): Promise<number> {
		return rateOf(ms, async () => {
			await Promise.all(
				this.keys.map(
					async (key) => (await this.runtime.send(key, "hi")).settled,
				),
			);
			return this.keys.length;
		});
	}

	/** Half of its capacity for so long; resolves when all has ended, with how long each took to be accepted, in ms. */
	async halfLoad(ms: number): Promise<number[]> {
		const perMs = this.capacity / 2 / 1000;
		const accepted: number[] = [];
		let sent = 0;
		// Counted, not kept: what is measured is not to carry along all that it has sent.
		let underWay = 0;
		const idle = Promise.withResolvers<void>();
		const send = async (key: string) => {
			const began = performance.now();
			const { settled } = await this.runtime.send(key, "hi");
			accepted.push(performance.now() - began);
			await settled;
			underWay -= 1;
			if (underWay === 0 && isOver) idle.resolve();
		};
		let isOver = false;
		const began = performance.now();
		for (let passed = 0; passed < ms; passed = performance.now() - began) {
			const due = Math.floor(passed * perMs);
			for (; sent < due; sent++) {
				underWay += 1;
				send(this.keys[sent % sessions] as string).catch(idle.reject);
			}
			await new Promise<void>((next) => setTimeout(next, 1));
		}
		isOver = true;
		if (underWay > 0) await idle.promise;
		return accepted;
	}

	close(): Promise<void> {
		return this.runtime.close();
	}
}
