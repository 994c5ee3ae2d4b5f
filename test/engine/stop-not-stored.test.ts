/** A stop whose commit failed has fired its signal all the same, so that its grace period counts (decisions 4 and 6). */
import { memoryStore } from "turnkeeper/memory";
import { describe, expect, test } from "vitest";
import { FaultyStore } from "../../src/testing/faulty-store.ts";
import { turns } from "../../src/testing/virtual-clock.ts";
import { codeOf, now, startScripted } from "../support/scripted-host.ts";

describe("a stop whose commit failed", () => {
	for (const stop of ["abort", "reset", "delete", "interrupt"] as const)
		test(`by ${stop}: a run that ignores its signal is abandoned after its grace period all the same`, async () => {
			const store = new FaultyStore(memoryStore());
			const { runtime, scripted, clock } = await startScripted(store);
			const { settled } = await runtime.send("k", "hello");
			store.faults.push("before", "before");
			const call =
				stop === "interrupt"
					? runtime.send("k", "x", { overlap: "interrupt" })
					: runtime[stop]("k");
			expect(await codeOf(call)).toBe("STORE_FAILED");
			expect(scripted.last.run.signal.aborted).toBe(true);
			await clock.advance(60_000);
			expect(await now(settled)).toMatchObject({ outcome: "abandoned" });
			expect(await runtime.get("k")).toMatchObject({ hasActiveRun: false });
			expect((await runtime.runs("k")).items).toMatchObject([
				{ stoppedBy: stop },
			]);
			const next = await runtime.send("k", "next");
			expect(next.disposition).toBe("started");
		});

	test("of a run that waits: it is abandoned too, and its status is no longer 'waiting'", async () => {
		const store = new FaultyStore(memoryStore());
		const { runtime, scripted, clock } = await startScripted(store);
		const { settled } = await runtime.send("k", "hello");
		void scripted.last.run.waitFor("a").catch(() => {});
		await turns();
		expect(await runtime.get("k")).toMatchObject({ status: "waiting" });
		store.faults.push("before", "before");
		expect(await codeOf(runtime.abort("k"))).toBe("STORE_FAILED");
		await clock.advance(60_000);
		expect(await now(settled)).toMatchObject({ outcome: "abandoned" });
	});
});
