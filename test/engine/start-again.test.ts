/** A start that failed and is tried again: the second one is as good as the first would have been. */
import type { JsonValue } from "turnkeeper";
import { createSessionRuntime } from "turnkeeper";
import { describe, expect, test } from "vitest";
import { CrashingStore } from "../../src/testing/crashing-store.ts";
import { FaultyStore } from "../../src/testing/faulty-store.ts";
import { VirtualClock } from "../../src/testing/virtual-clock.ts";
import { Scripted, silent, startHost } from "../support/host.ts";
import { storeKinds } from "../support/stores.ts";

for (const [kind, makeStore] of storeKinds)
	describe(`a start that is tried again, on ${kind}`, () => {
		test("lets idle sessions leave memory", async () => {
			// 1 runs of a and b die with their process → 2 the start settles that of a, and cannot that of b → 3 the next start settles both.
			const crashing = new CrashingStore(makeStore());
			const dead = await startHost(crashing, {
				execute: new Scripted().execute,
			});
			await dead.runtime.send("a", 1);
			await dead.runtime.send("b", 1);
			await crashing.crash();

			const store = new FaultyStore(crashing);
			const clock = new VirtualClock();
			await using runtime = createSessionRuntime<JsonValue>({
				store,
				clock,
				logger: silent,
				passivateAfterMs: 1000,
			});
			store.poisoned = "b";
			await expect(runtime.start()).rejects.toMatchObject({
				code: "STORE_FAILED",
			});
			store.poisoned = null;
			await runtime.start();
			expect(runtime.stats().resident).toBe(1);
			await clock.advance(3000);
			expect(runtime.stats().resident).toBe(0);
		});
	});
