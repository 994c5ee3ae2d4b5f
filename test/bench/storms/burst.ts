/** Owns bursts: many messages at once to every session, under one overlap mode, until nothing of them is left. */
import {
	createSessionRuntime,
	type ManagedRun,
	type OverlapMode,
	TurnkeeperError,
} from "turnkeeper";
import { keysOf } from "../contender.ts";
import { rateOf } from "../rounds.ts";
import { storeOf } from "../store.ts";
import { mustBe, type Player } from "../workload.ts";

/** Long enough that all of a burst arrive before the first run ends. */
const oneTick = () => new Promise<void>((next) => setImmediate(next));

export async function bursts(
	mode: OverlapMode,
	folder: string,
	sizes: { sessions: number; burst: number; roundMs: number },
): Promise<Player> {
	const { sessions, burst, roundMs } = sizes;
	const { store } = await storeOf("full", folder);
	/** What became of the messages, by name. */
	const fates = new Map<string, number>();
	const count = (fate: string) => fates.set(fate, (fates.get(fate) ?? 0) + 1);

	/** Takes what steers it as long as any of the burst is to come. */
	async function steered(run: ManagedRun<string>): Promise<void> {
		let left = burst - 1;
		for await (const _ of run.steering) {
			left -= 1;
			if (left === 0) return;
		}
	}
	let runs = 0;
	const runtime = createSessionRuntime<string, string>({
		store,
		overlap: mode,
		execute: async (run) => {
			runs += 1;
			if (mode === "steer") await steered(run);
			else await oneTick();
			return "done";
		},
	});
	await runtime.start();
	const keys = keysOf(sessions);

	async function message(key: string): Promise<void> {
		try {
			const { settled } = await runtime.send(key, "hi");
			count((await settled).outcome);
		} catch (error) {
			if (!(error instanceof TurnkeeperError && error.code === "SESSION_BUSY"))
				throw error;
			count("refused");
		}
	}

	let said = 0;
	return {
		async round() {
			const [runsBefore, saidBefore] = [runs, said];
			const messages = await rateOf(roundMs, async () => {
				await Promise.all(
					keys.flatMap((key) =>
						Array.from({ length: burst }, () => message(key)),
					),
				);
				said += keys.length * burst;
				return keys.length * burst;
			});
			return { messages, runs: (runs - runsBefore) / (said - saidBefore) };
		},
		async close() {
			await runtime.whenIdle();
			const known = [...fates.values()].reduce((sum, one) => sum + one, 0);
			mustBe("messages with a fate", said, known);
			if (mode === "reject")
				mustBe(
					"messages that ran or were refused",
					said,
					(fates.get("completed") ?? 0) + (fates.get("refused") ?? 0),
				);
			if (mode === "enqueue") mustBe("runs", said, runs);
			await runtime.close();
		},
	};
}
