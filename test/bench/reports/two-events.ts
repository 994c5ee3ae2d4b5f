/** Owns plain XState's own events: a machine that is told of the start and of the end of its run, at once, with nobody who waits for either. */
import { createActor, setup } from "xstate";
import { rateOf } from "../rounds.ts";
import { mustBe, type Player } from "../workload.ts";

const machine = setup({
	types: { events: {} as { type: "start" } | { type: "end" } },
}).createMachine({
	initial: "idle",
	states: {
		idle: { on: { start: "running" } },
		running: { on: { end: "ended" } },
		ended: { on: { start: "running" } },
	},
});

export function twoEvents(sessions: number, roundMs: number): Player {
	let transitions = 0;
	let said = 0;
	const actors = Array.from({ length: sessions }, () => {
		const actor = createActor(machine);
		actor.subscribe(() => {
			transitions += 1;
		});
		return actor.start();
	});
	transitions = 0;
	return {
		round: async () => ({
			events: await rateOf(roundMs, async () => {
				for (const actor of actors) actor.send({ type: "start" });
				for (const actor of actors) actor.send({ type: "end" });
				said += 2 * sessions;
				return 2 * sessions;
			}),
		}),
		async close() {
			mustBe("transitions", said, transitions);
			for (const actor of actors) actor.stop();
		},
	};
}
