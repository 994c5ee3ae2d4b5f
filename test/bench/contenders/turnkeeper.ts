/** Owns turnkeeper as it ships, on each of its stores. */
import { createSessionRuntime } from "turnkeeper";
import type { Telemetry } from "turnkeeper/otel";
import { sqliteStore } from "turnkeeper/sqlite";
import type { Contender } from "../contender.ts";
import { type StoreKind, storeOf } from "../store.ts";
import { mustBe } from "../workload.ts";

/** Whatever looks at a runtime from outside: what is before its store, its executor and its calls. */
export type Looking = Pick<Telemetry, "runtime" | "executor" | "store">;

const notLooking: Looking = {
	runtime: (runtime) => runtime,
	executor: (execute) => execute,
	store: (store) => store,
};

export function turnkeeper({
	store: kind,
	looking = notLooking,
}: {
	store: StoreKind;
	looking?: Looking;
}): Contender {
	return async (keys, { folder }) => {
		const { store, path } = await storeOf(kind, folder);
		const runtime = looking.runtime(
			createSessionRuntime<string, string>({
				store: looking.store(store),
				execute: looking.executor(async () => "done"),
				maxResident: Math.max(10_000, keys.length),
			}),
		);
		await runtime.start();
		let said = 0;
		let completed = 0;
		async function turn(key: string): Promise<void> {
			const { settled } = await runtime.send(key, "hi");
			if ((await settled).outcome === "completed") completed += 1;
		}
		return {
			async sweep() {
				await Promise.all(keys.map(turn));
				said += keys.length;
				return keys.length;
			},
			async close() {
				mustBe("turns that completed", said, completed);
				const each = said / keys.length;
				if (kind === "memory")
					for (const key of keys) {
						const row = await runtime.get(key);
						mustBe(
							`rows of ${key} that ended`,
							1,
							row?.status === "ended" ? 1 : 0,
						);
					}
				await runtime.close();
				if (path === null) return;
				await using reader = await sqliteStore(path).read();
				for (const key of keys.slice(0, 100)) {
					const loaded = await reader.load(key);
					mustBe(`messages of ${key}`, each, loaded?.facts.arrivals ?? 0);
					mustBe(`runs of ${key}`, each, await runsOf(reader, key));
				}
			},
		};
	};
}

async function runsOf(
	reader: Awaited<ReturnType<ReturnType<typeof sqliteStore>["read"]>>,
	key: string,
): Promise<number> {
	let count = 0;
	let cursor: string | null = null;
	do {
		const page: Awaited<ReturnType<typeof reader.runs>> = await reader.runs(
			key,
			{ limit: 1000, ...(cursor === null ? {} : { cursor }) },
		);
		count += page.items.filter(({ outcome }) => outcome === "completed").length;
		({ cursor } = page);
	} while (cursor !== null);
	return count;
}
