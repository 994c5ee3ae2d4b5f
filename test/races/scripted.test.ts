/** Races of the catalogue that are one script each, written with `race` as anybody would write their own. */
import { doubled, foreign, late, later, race } from "turnkeeper/testing";
import { expect, test } from "vitest";
import { draw, scenarios } from "./scenario.ts";

scenarios("written as scripts", ({ makeStore }) => {
	const begin = () => race({ store: makeStore() });

	test("SE-01 as a script: the late error of a run that was reset is filed with its own generation", async () => {
		const trace = await begin()
			.run("R1", { driver: "host" })
			.then(late("start"))
			.reset({ reason: "/new" })
			.then(late("error"))
			.then(doubled("end"));
		draw(trace);
		expect(trace.told).toEqual([
			"live",
			"applied",
			"done",
			"archived",
			"duplicate",
		]);
		expect(trace.row()).toMatchObject({
			generation: 2,
			status: "idle",
			lastError: null,
			startedAt: null,
		});
		expect(trace.run("R1")).toMatchObject({ outcome: "aborted" });
	});

	test("VD-02 as a script: an end is the end, whatever comes after it", async () => {
		const trace = await begin()
			.run("R", { driver: "host" })
			.then(late("start"))
			.then(late("end"))
			.then(late("start"))
			.then(doubled("error"))
			.then(later(16 * 60_000))
			.then(late("progress"));
		draw(trace);
		expect(trace.told.slice(2)).toEqual([
			"applied",
			"duplicate",
			"duplicate",
			"done",
			"duplicate",
		]);
		expect(trace.row()).toMatchObject({
			status: "ended",
			lastOutcome: "completed",
		});
		// Its start, its end, and not a row more.
		expect(trace.rows.map(({ status }) => status)).toEqual([
			"running",
			"running",
			"ended",
		]);
	});

	test("SR-01 as a script: what a dead process left running has ended, and what waited runs", async () => {
		const trace = await begin()
			.run("a")
			.run("b")
			.crash()
			.then(late("end", { of: "b" }));
		draw(trace);
		expect(trace.told).toEqual(["started", "queued", "done", "completed"]);
		expect(trace.run("a")?.outcome).toBe("interrupted");
		expect(trace.row()).toMatchObject({ status: "ended", queued: 0 });
	});

	test("AB-16 as a script: a stop that comes as its run is being admitted stops it", async () => {
		const trace = await begin()
			.run("a")
			.abort({ during: "start" })
			.then(late("end"));
		draw(trace);
		expect(trace.told).toEqual(["started", "done", "aborted"]);
		expect(trace.row()).toMatchObject({ lastOutcome: "aborted" });
	});

	test("SC-04 as a script: a stop that was meant for one run does not stop the next", async () => {
		const trace = await begin()
			.run("R1")
			.then(late("end"))
			.run("R2")
			.abort({ expect: { messageId: "R1" } })
			.then(late("end"));
		draw(trace);
		expect(trace.told).toEqual([
			"started",
			"completed",
			"started",
			"stale",
			"completed",
		]);
	});

	test("RR-01 as a script: a reset that comes as another is committed is the next one, and neither is lost", async () => {
		const trace = await begin()
			.run("a")
			.reset({ reason: "first" })
			.reset({ reason: "second", during: "commit" })
			.then(late("end"));
		draw(trace);
		expect(trace.told).toEqual(["started", "done", "done", "aborted"]);
		expect(trace.row()).toMatchObject({ generation: 3, status: "idle" });
	});

	test("RQ-02 as a script: a message that comes while a reset drains runs in the generation that the reset began", async () => {
		const trace = await begin()
			.run("a")
			.reset()
			.run("b", { during: "drain" })
			.then(late("end", { of: "a" }))
			.then(late("end", { of: "b" }));
		draw(trace);
		expect(trace.told).toEqual([
			"started",
			"done",
			"queued",
			"aborted",
			"completed",
		]);
		expect(trace.run("b")).toMatchObject({
			generation: 2,
			outcome: "completed",
		});
	});

	test("AB-05 as a script: after a stop in the middle of a reply nothing more goes out", async () => {
		const trace = await begin()
			.run("a")
			.abort({ during: "deliver" })
			.then(late("deliver"))
			.then(foreign("end", { generation: 2 }))
			.then(late("end"));
		draw(trace);
		expect(trace.told).toEqual([
			"started",
			"done",
			"STALE_RUN",
			"refused",
			"aborted",
		]);
	});
});
