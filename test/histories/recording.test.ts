/** What a recorder notes, by whichever way its runtime is held. */
import { createSessionRuntime } from "turnkeeper";
import { memoryStore } from "turnkeeper/memory";
import { recordHistory } from "turnkeeper/testing";
import { expect, test } from "vitest";

test("what start gives is recorded as what it was called on", async () => {
	const recorder = recordHistory();
	await using runtime = await recorder
		.runtime(
			createSessionRuntime({
				store: memoryStore(),
				execute: recorder.executor(async () => "done"),
			}),
		)
		.start();
	const { settled } = await runtime.send("k", "hello");
	await settled;
	expect(recorder.calls.map(({ call }) => call)).toContain("send");
});
