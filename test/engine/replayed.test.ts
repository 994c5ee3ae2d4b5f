/** Forced replay itself: when it is on, actors are in fact replaced, and a store that gives back other facts than it was given is found. */
import { memoryStore } from "turnkeeper/memory";
import { expect, test } from "vitest";
import { replayed } from "../support/replayed-counts.ts";
import { isReplayed } from "../support/replaying.ts";
import { startScripted } from "../support/scripted-host.ts";

test.runIf(isReplayed)(
	"each turn and each rest replaces an actor",
	async () => {
		const { turns, readings } = replayed;
		const { runtime, scripted } = await startScripted(memoryStore());
		await runtime.send("k", "hello");
		await runtime.patch("k", { a: 1 });
		scripted.last.end();
		await runtime.whenIdle();
		expect(replayed.turns).toBeGreaterThanOrEqual(turns + 3);
		expect(replayed.readings).toBeGreaterThanOrEqual(readings + 3);
		expect((await runtime.get("k"))?.status).toBe("ended");
	},
);
