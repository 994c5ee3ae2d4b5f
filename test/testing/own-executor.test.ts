/** Somebody's own executor under `simulate`, as the README shows it. */
import { simulate } from "turnkeeper/testing";
import { test } from "vitest";

for (let seed = 1; seed <= 20; seed++)
	test(`my agent keeps its session in order, seed ${seed}`, async () => {
		await simulate({
			seed,
			runtime: { overlap: "collect" },
			execute: async (run, { sleep, random }) => {
				const text = run.messages.map(({ input }) => input).join("\n");
				await run.append({ user: text });
				await sleep(random(50), run.signal); // the model thinks
				return run.deliver("reply", async () => `you said ${text}`);
			},
		});
	});
