/** Owns the yardstick: a small machine of plain XState, idle → running with a promise child → ended. It keeps nothing. */
import { type Actor, createActor, fromPromise, setup } from "xstate";
import type { Contender } from "../contender.ts";
import { mustBe } from "../workload.ts";

const plainMachine = setup({
	types: { events: {} as { type: "message"; input: string } },
	actors: { run: fromPromise(async () => "done") },
}).createMachine({
	initial: "idle",
	states: {
		idle: { on: { message: "running" } },
		running: { invoke: { src: "run", onDone: "ended", onError: "ended" } },
		ended: { on: { message: "running" } },
	},
});

export const plainXstate: Contender = async (keys) => {
	let said = 0;
	let ended = 0;
	let waiting = 0;
	let done = () => {};
	const actors: Actor<typeof plainMachine>[] = keys.map(() => {
		const actor = createActor(plainMachine);
		actor.subscribe((snapshot) => {
			if (snapshot.value !== "ended") return;
			ended += 1;
			waiting -= 1;
			if (waiting === 0) done();
		});
		return actor.start();
	});
	return {
		async sweep() {
			await new Promise<void>((resolve) => {
				waiting = actors.length;
				done = resolve;
				for (const actor of actors)
					actor.send({ type: "message", input: "hi" });
			});
			said += actors.length;
			return actors.length;
		},
		async close() {
			mustBe("turns that ended", said, ended);
			for (const actor of actors) actor.stop();
		},
	};
};
