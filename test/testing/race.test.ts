/** `race`: a script plays the same calls at the same points, whatever they are tied to, and says what is wrong with one that cannot. */
import { setImmediate } from "node:timers/promises";
import type { ManagedRun } from "turnkeeper";
import {
	answer,
	crash,
	doubled,
	fault,
	foreign,
	late,
	later,
	type RacePoint,
	race,
	virtualClock,
} from "turnkeeper/testing";
import { describe, expect, test } from "vitest";
import { storeKinds } from "../support/stores.ts";

for (const [kind, makeStore] of storeKinds)
	describe(`a race, on ${kind}`, () => {
		const begin = () => race({ store: makeStore() });

		test("resolves with what each step was told, the rows in order, and the runs", async () => {
			const trace = await begin()
				.run("a")
				.reset({ during: "deliver" })
				.then(late("end"));
			expect(trace.told).toEqual(["started", "done", "aborted"]);
			expect(trace.answers.map(({ step }) => step)).toEqual([
				"run a",
				"reset during deliver",
				"late end",
			]);
			expect(trace.row()).toMatchObject({ generation: 2, status: "idle" });
			expect(trace.run("a")).toMatchObject({
				generation: 1,
				outcome: "aborted",
				stoppedBy: "reset",
			});
			expect(
				trace.rows.map(({ generation, status }) => `${generation} ${status}`),
			).toEqual([
				"1 running",
				"1 running",
				"2 resetting",
				"2 resetting",
				"2 idle",
			]);
		});

		test("draws itself, for a terminal and as SVG", async () => {
			const trace = await begin()
				.run("a")
				.reset({ during: "deliver" })
				.then(late("end"));
			expect(`\n${trace.text()}`).toBe(`
         host
         │    session k
         │    │    run a
         │    │    │    store
         ●───▶│         │    send a
         │    ●────────▶│    generation 1, running
         │    ●───▶│    │    begins: a
         │◀───●    │    │    started
         │    │◀───●    │    deliver reply
         │    ●────┼───▶│    kept, version 2
         │◀───┼────●    │    reply goes out
         ●───▶│    │    │    reset
         │    ●────┼───▶│    generation 2, resetting, 1 draining
         │    ●───▶│    │    ~ told to stop by reset
         │    ●────┼───▶│    kept, version 4
         │    ●───▶│    │    reply: delivered
         │    │◀───●    │    returns "a"
         │    │    ●───▶│    ~ aborted
         │    ●────────▶│    idle, 0 draining
         │◀───●         │    ~ a: aborted
         │◀───●         │    done`);
			const svg = trace.svg({ title: "a reset" });
			expect(svg).toMatch(/^<svg xmlns="http:\/\/www.w3.org\/2000\/svg" /);
			expect(svg).toContain('aria-label="a reset"');
			expect(svg.match(/<g /g)).toHaveLength(trace.steps.length);
		});

		test("is the same each time", async () => {
			const scripted = begin()
				.run("a")
				.run("b")
				.reset({ during: "append", of: "a" })
				.then(late("end"))
				.then(doubled("end"))
				.crash()
				.run("c");
			const [one, two] = [await scripted, await race().run("a")];
			expect(two.told).toEqual(["started"]);
			const again = await begin()
				.run("a")
				.run("b")
				.reset({ during: "append", of: "a" })
				.then(late("end"))
				.then(doubled("end"))
				.crash()
				.run("c");
			expect(again.text()).toBe(one.text());
		});

		test("a step goes to the point that it is tied to", async () => {
			/** What had been done to the run when the reset came. */
			const seen: Record<string, readonly string[]> = {};
			for (const side of ["before", "during", "after"] as const)
				for (const point of [
					"start",
					"deliver",
					"append",
					"wait",
					"end",
				] satisfies RacePoint[]) {
					const trace = await begin()
						.run("a")
						.reset({ [side]: point });
					const { steps } = trace;
					const at = steps.findIndex(({ label }) => label === "reset");
					seen[`${side} ${point}`] = steps
						.slice(0, at)
						.filter(({ kind }) => !["call", "answer"].includes(kind))
						.map(({ label }) => label);
				}
			const live = ["generation 1, running", "begins: a"];
			const out = [
				...live,
				"deliver reply",
				"kept, version 2",
				"reply goes out",
			];
			expect(seen).toEqual({
				"before start": [],
				"during start": [],
				"after start": live,
				"before deliver": live,
				"during deliver": out,
				"after deliver": [...out, "kept, version 3", "reply: delivered"],
				"before append": live,
				"during append": [...live, 'append "entry"'],
				"after append": [...live, 'append "entry"', "kept, version 2"],
				"before wait": live,
				"during wait": [...live, "waits for answer", "waiting, for answer"],
				"after wait": [
					...live,
					"waits for answer",
					"waiting, for answer",
					"running",
					"answer: true",
				],
				"before end": live,
				"during end": [...live, 'returns "a"'],
				"after end": [...live, 'returns "a"', "completed", "ended"],
			});
		});

		test("a step can come while what the one before it has set off is committed, drains or boots", async () => {
			const commit = await begin()
				.run("a")
				.abort()
				.reset({ during: "commit" })
				.then(late("end"));
			expect(commit.told).toEqual(["started", "done", "done", "aborted"]);
			expect(commit.row()).toMatchObject({ generation: 2, status: "idle" });
			const breath = await begin().run("a").run("b", { before: "commit" });
			expect(breath.told).toEqual(["started", "queued"]);
			const drain = await begin()
				.run("a")
				.reset()
				.run("b", { during: "drain" })
				.then(late("end", { of: "a" }))
				.then(late("end", { of: "b" }));
			expect(drain.told).toEqual([
				"started",
				"done",
				"queued",
				"aborted",
				"completed",
			]);
			const drained = await begin()
				.run("a")
				.reset()
				.run("b", { after: "drain" });
			expect(drained.told).toEqual(["started", "done", "started"]);
			expect(drained.run("a")?.outcome).toBe("abandoned");
			const boot = await begin().run("a").crash().run("b", { during: "boot" });
			expect(boot.told).toEqual(["started", "done", "RUNTIME_CLOSED"]);
		});

		test("a run that the host drives is told by verdicts, late, doubled and foreign ones too", async () => {
			const trace = await begin()
				.run("a", { driver: "host" })
				.then(late("start"))
				.then(foreign("end"))
				.then(foreign("end", { generation: 7 }))
				.reset()
				.then(late("append"))
				.then(doubled("error"))
				.then(late("end"));
			expect(trace.told).toEqual([
				"live",
				"applied",
				"unknown",
				"refused",
				"done",
				"STALE_RUN",
				"duplicate",
				"duplicate",
			]);
			expect(trace.run("a")).toMatchObject({
				outcome: "aborted",
				error: "doubled error",
			});
		});

		test("a wait is answered, a commit fails, time passes and processes die where the script says so", async () => {
			const trace = await race({
				store: makeStore(),
				recovery: { mode: "retry", maxAttempts: 2 },
			})
				.run("a")
				.patch({ step: 1 }, { during: "wait" })
				.then(answer())
				.then(fault())
				.patch({ step: 2 })
				.then(later(90_000))
				.then(crash())
				.then(late("end"));
			expect(trace.told).toEqual([
				"started",
				"done",
				"done",
				"done",
				"done",
				"done",
				"done",
				"completed",
			]);
			expect(trace.row()?.meta).toEqual({ step: 2 });
			expect(trace.run("a")).toMatchObject({ attempt: 2 });
			expect(trace.text()).toContain("! commit fails: disk I/O error");
			expect(trace.text()).toContain("+1min30s");
		});

		test("what is told to stop and never ends is abandoned when the script is over", async () => {
			const trace = await race({ store: makeStore(), graceMs: 60_000 })
				.run("a")
				.abort();
			expect(trace.told).toEqual(["started", "done"]);
			expect(trace.run("a")?.outcome).toBe("abandoned");
			expect(trace.text()).toContain("+1min");
		});

		test("a process that dies as it commits leaves what the store has, and no more", async () => {
			const trace = await begin()
				.run("a")
				.crash({ during: "commit" })
				.run("b")
				.then(late("end", { of: "b" }));
			expect(trace.told.slice(1)).toEqual(["done", "started", "completed"]);
			expect(trace.row()).toMatchObject({ generation: 1, status: "ended" });
		});

		test("what waits for something that the script never brings about is pending", async () => {
			const trace = await begin().run("a").run("b");
			expect(trace.told).toEqual(["started", "queued"]);
			expect(trace.run("a")).toMatchObject({ outcome: null });
			expect(trace.run("b")).toBeNull();
		});

		test("messages that one run has taken are held up, and end, with it", async () => {
			const trace = await race({ store: makeStore(), overlap: "collect" })
				.run("a")
				.run("b")
				.run("c")
				.then(late("end", { of: "a" }))
				.then(late("end", { of: "c" }));
			expect(trace.told.slice(3)).toEqual(["completed", "completed"]);
			expect(trace.run("b")).toEqual(trace.run("c"));
			expect(trace.row()).toMatchObject({ status: "ended", queued: 0 });
		});

		test("no time passes by itself, unless something drains when the script is over", async () => {
			const still = await race({ store: makeStore() })
				.run("a", { driver: "host", leaseMs: 1000 })
				.abort()
				.then(late("end"))
				.run("b", { driver: "host", leaseMs: 1000 });
			expect(still.row()).toMatchObject({ status: "running" });
			expect(still.text()).not.toContain("+");
		});

		test("sessions of other keys take part", async () => {
			const trace = await begin()
				.run("a")
				.run("b", { key: "other" })
				.delete({ key: "other", during: "deliver" })
				.then(late("end", { of: "b" }));
			expect(trace.told).toEqual(["started", "started", "done", "aborted"]);
			expect(trace.row("other")).toBeNull();
			expect(trace.row("k")).toMatchObject({ status: "running" });
			expect(trace.lanes.map(({ label }) => label)).toEqual([
				"host",
				"session k",
				"run a",
				"session other",
				"run b",
				"store",
			]);
		});

		describe("on somebody's own executor", () => {
			const execute = async (run: ManagedRun) => {
				await setImmediate();
				await run.append({ user: run.messages[0]?.input ?? null });
				const post = await run.deliver("post", () => "posted");
				await run.append({ assistant: post });
				return "said";
			};

			test("holds it up at the point that a step is tied to", async () => {
				const trace = await race({ store: makeStore(), execute })
					.run("a")
					.reset({ during: "deliver" });
				expect(trace.told).toEqual(["started", "done"]);
				expect(trace.run("a")).toMatchObject({
					outcome: "aborted",
					error: expect.stringContaining("generation"),
				});
				expect(trace.row()).toMatchObject({ generation: 2, status: "idle" });
			});

			test("lets it go where no step is tied to it, to its end", async () => {
				const trace = await race({ store: makeStore(), execute }).run("a");
				expect(trace.run("a")?.outcome).toBe("completed");
			});

			test("holds its end back until the script has it come", async () => {
				const trace = await race({ store: makeStore(), execute })
					.run("a")
					.abort()
					.then(late("end"));
				expect(trace.told).toEqual(["started", "done", "aborted"]);
			});

			test("says which points it came to if it never comes to that one", async () => {
				await expect(
					race({ store: makeStore(), execute })
						.run("a")
						.reset({ during: "wait" }),
				).rejects.toMatchObject({
					code: "INVALID_ARGUMENT",
					text: 'reset during wait: run "a" never comes to wait; it came to: append, deliver, append, end',
				});
			});
		});
	});

describe("a script that cannot be played says what would have been right:", () => {
	const wrong: Record<string, [() => unknown, string]> = {
		"a run that nobody has named": [
			() =>
				race()
					.run("a")
					.then(late("end", { of: "b" })),
			'late end of b: no run is called "b"; there is "a"',
		],
		"no run at all": [
			() => race().then(late("end")),
			"no run has begun by then; begin with run(…)",
		],
		"a point of no run": [
			() => race().reset({ during: "deliver" }),
			"reset during deliver: no run comes before it; begin with run(…)",
		],
		"two runs of one name": [
			() => race().run("a").run("a"),
			'there are two runs called "a"; each needs a name of its own',
		],
		"a run that waits in line": [
			() =>
				race()
					.run("a")
					.run("b")
					.then(late("end", { of: "b" })),
			'late end of b: run "b" has not begun by then; what is before it in line has to end first',
		],
		"a point of a run that waits in line": [
			() => race().run("a").run("b").reset({ during: "append" }),
			'reset during append: run "b" has not begun by then; what is before it in line has to end first',
		],
		"a drain of nothing": [
			() => race().run("a").patch({}, { during: "drain" }),
			"patch during drain: nothing drains by then; a reset, abort or delete of a run that has not ended would have begun a drain",
		],
		"the start of what is no run": [
			() => race().reset().patch({}, { during: "start" }),
			"patch during start: reset comes before it, which starts nothing; put it right after a run(…)",
		],
		"a boot after no crash": [
			() => race().run("a").patch({}, { during: "boot" }),
			"patch during boot: put it right after a crash()",
		],
		"the commit of what commits nothing": [
			() => race().abort().patch({}, { during: "commit" }),
			"patch during commit: nothing is committed there; tie it to a step that changes something",
		],
		"two points for one step": [
			() => race().run("a").reset({ before: "end", during: "wait" }),
			"a step comes before and during something; it can be tied to one point",
		],
		"a point that there is not": [
			() =>
				race()
					.run("a")
					.reset({ during: "tea" as never }),
			`during is "tea"; it must be one of 'deliver', 'append', 'wait', 'end', 'start', 'drain', 'commit', 'boot'`,
		],
		"an event that there is not": [
			() => late("tea" as never),
			`what is "tea"; it must be one of 'start', 'progress', 'end', 'error', 'append', 'deliver', 'usage'`,
		],
		"a start that is no event": [
			() => race().run("a").then(late("start")),
			'late start: the start of run "a" is no event of its own; one that the host drives has such a start: run("a", { driver: "host" })',
		],
		"a step that is none": [
			() => race().then({ label: "late end" }),
			'{"label":"late end"} is no step; late(…), doubled(…), foreign(…), answer(…), crash(), later(…) and fault(…) make one',
		],
		"a clock that is not virtual": [
			() =>
				race({
					clock: { now: Date.now, setTimeout, clearTimeout: () => {} },
				}),
			"clock is not a virtual one; a race needs `virtualClock()`, or none",
		],
	};
	for (const [name, [play, text]] of Object.entries(wrong))
		test(name, async () => {
			await expect((async () => play())()).rejects.toMatchObject({
				code: "INVALID_ARGUMENT",
				text,
			});
		});

	test("a name that is asked for afterwards", async () => {
		const trace = await race({ clock: virtualClock() }).run("a");
		expect(() => trace.run("b")).toThrow('no run is called "b"; there is "a"');
	});
});
