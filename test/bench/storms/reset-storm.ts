/** Owns resets that come while a run is in flight: the run is told to stop, and stops at once. */

import { createSessionRuntime } from "turnkeeper";
import { type Actor, createActor, fromPromise, setup } from "xstate";
import { keysOf } from "../contender.ts";
import { rateOf } from "../rounds.ts";
import { type StoreKind, storeOf } from "../store.ts";
import { mustBe, type Player } from "../workload.ts";

/** Until it is told to stop. */
const untilStopped = (signal: AbortSignal) =>
	new Promise<never>((_, reject) => {
		signal.addEventListener("abort", () => reject(signal.reason), {
			once: true,
		});
	});

const machine = setup({
	types: { events: {} as { type: "message" } | { type: "reset" } },
	actors: { run: fromPromise(({ signal }) => untilStopped(signal)) },
}).createMachine({
	initial: "idle",
	states: {
		idle: { on: { message: "running" } },
		running: { invoke: { src: "run" }, on: { reset: "idle" } },
	},
});

/** Plain XState: the promise child is stopped with its state, and nothing is kept of it. */
export function plainResets(sessions: number, roundMs: number): Player {
	let said = 0;
	let reset = 0;
	const actors: Actor<typeof machine>[] = Array.from(
		{ length: sessions },
		() => {
			const actor = createActor(machine).start();
			actor.subscribe(({ value }) => {
				if (value === "idle") reset += 1;
			});
			return actor;
		},
	);
	return {
		round: async () => ({
			resets: await rateOf(roundMs, async () => {
				for (const actor of actors) actor.send({ type: "message" });
				await Promise.resolve();
				for (const actor of actors) actor.send({ type: "reset" });
				said += sessions;
				return sessions;
			}),
		}),
		async close() {
			mustBe("sessions that were reset", said, reset);
			for (const actor of actors) actor.stop();
		},
	};
}

export async function resetStorm(
	kind: StoreKind,
	folder: string,
	sessions: number,
	roundMs: number,
): Promise<Player> {
	const { store } = await storeOf(kind, folder);
	let stopped = 0;
	const runtime = createSessionRuntime<string, string>({
		store,
		execute: async (run) => {
			try {
				return await untilStopped(run.signal);
			} finally {
				stopped += 1;
			}
		},
	});
	await runtime.start();
	const keys = keysOf(sessions);
	let said = 0;
	return {
		round: async () => ({
			resets: await rateOf(roundMs, async () => {
				const sent = await Promise.all(
					keys.map((key) => runtime.send(key, "hi")),
				);
				await Promise.all(
					keys.map(async (key) => {
						const { result } = await runtime.reset(key, { reason: "/new" });
						if (result !== "done") throw new Error(`${key}: ${result}`);
					}),
				);
				for (const { settled } of sent) {
					const { outcome } = await settled;
					if (outcome !== "aborted") throw new Error(`a run ${outcome}`);
				}
				said += keys.length;
				return keys.length;
			}),
		}),
		async close() {
			mustBe("runs that were stopped", said, stopped);
			let ended = 0;
			for (const key of keys)
				ended += ((await runtime.get(key))?.generation ?? 1) - 1;
			mustBe("generations that ended", said, ended);
			await runtime.close();
		},
	};
}
