/** Scenarios of category OT: what fits no other. */
import type { EndedGeneration } from "turnkeeper";
import { expect, test } from "vitest";
import { CrashingStore } from "../../src/testing/crashing-store.ts";
import { codeOf } from "../support/scripted-host.ts";
import { stillClock, turns } from "../support/turns.ts";
import { agree, scenarios, watch } from "./scenario.ts";

const minute = 60_000;
const hour = 60 * minute;

scenarios("OT, other", ({ makeStore, start }) => {
	test("OT-01 what two clocks say of one session decides nothing about it", async () => {
		const host = await start();
		const { runtime, scripted, clock } = host;
		for (const ms of [-2 * hour, -1, 0, 1, 400 * 24 * hour]) {
			const { settled } = await runtime.send("k", `${ms}`);
			const { run, end } = scripted.last;
			await run.append("before");
			end();
			await settled;
			const row = await agree(host, "k");
			// The row is written, and then the transcript, by a clock that is ahead or behind.
			clock.stepBack(-ms);
			const other = await runtime.admit("k", { runId: `writer ${ms}` });
			await other.append("flushed");
			await other.end({ endedAt: clock.now() - ms });
			const next = await runtime.send("k", "next");
			expect(
				(await scripted.last.run.transcript()).at(-1),
				`${ms}`,
			).toMatchObject({ entry: "flushed" });
			scripted.last.end();
			await next.settled;
			expect(await agree(host, "k")).toMatchObject({
				generation: 1,
				sessionId: row?.sessionId,
				status: "ended",
			});
		}
	});

	test("OT-02 a reset that nobody has asked for by name ends the predecessor, whose effects are on record for the successor", async () => {
		for (const way of ["a message that resets", "an expiry"]) {
			const carried: unknown[] = [];
			const host = await start({
				expiry: { idleMs: hour },
				carryOver: (meta) => meta,
				onGenerationEnded: ({ generation, runs }) => {
					carried.push([generation, runs.map(({ messageIds }) => messageIds)]);
				},
			});
			const { runtime, scripted, clock } = host;
			await runtime.send("k", "delete the files", { messageId: "P1" });
			const p1 = scripted.last;
			await p1.run.append("asked to delete the files");
			await p1.run.deliver("rm", () => "deleted 3 files");
			await p1.run.append({ effect: "rm", result: "deleted 3 files" });
			if (way === "an expiry") {
				// Under a live run it waits, however long.
				await clock.advance(10 * hour);
				expect(p1.run.signal.aborted).toBe(false);
				p1.end();
				await clock.advance(hour);
			}
			const seeded = await runtime.send("k", "go on", {
				messageId: "P2",
				reset: way !== "an expiry",
			});
			await turns();
			if (way !== "an expiry") {
				expect(p1.run.signal.reason).toMatchObject({ by: "reset" });
				// It is not active beside its successor: that one begins when it has gone.
				expect(scripted.runs).toHaveLength(1);
				expect(await codeOf(p1.run.deliver("rm more", () => "gone"))).toBe(
					"STALE_RUN",
				);
				p1.end();
				await turns();
			}
			const { run, end } = scripted.last;
			expect(run.ticket.generation, way).toBe(2);
			// What came before is found with what it did, and not as its own.
			expect(await run.transcript()).toEqual([]);
			expect(
				(await runtime.transcript("k", { generation: 1 })).items.map(
					({ entry }) => entry,
				),
			).toEqual([
				{ effect: "rm", result: "deleted 3 files" },
				"asked to delete the files",
			]);
			expect(carried).toEqual([[1, [["P1"]]]]);
			end();
			expect(await seeded.settled).toMatchObject({ outcome: "completed" });
			expect(await agree(host, "k")).toMatchObject({ generation: 2 });
		}
	});

	test("OT-04 the hook of an end is called for each generation that ends, whatever ends it, also when the process dies first", async () => {
		const store = new CrashingStore(makeStore());
		const clock = stillClock();
		const ended: [string, number, string][] = [];
		const options = {
			clock,
			expiry: { idleMs: hour },
			onGenerationEnded: ({
				sessionKey,
				generation,
				endedBy,
			}: EndedGeneration) => {
				ended.push([sessionKey, generation, endedBy]);
			},
		};
		let host = await watch(store, options);
		const turn = async () => {
			const { settled } = await host.runtime.send("k", "hello");
			// The hook comes first.
			await turns();
			host.scripted.last.end();
			await settled;
		};
		await turn();
		// It rests for too long, and the next message finds that out.
		await clock.advance(hour);
		expect(ended).toEqual([]);
		await turn();
		await clock.advance(hour);
		await host.runtime.patch("k", { by: "patch" });
		await turn();
		await host.runtime.reset("k");
		await turn();
		const fresh = await host.runtime.send("k", "fresh", { reset: true });
		await turns();
		host.scripted.last.end();
		await fresh.settled;
		await host.runtime.delete("k");
		await turn();
		// A message waits as the process dies, and is taken after the night.
		await host.runtime.send("k", "dies");
		await host.runtime.send("k", "waits");
		await store.crash();
		clock.stepBack(-10 * hour);
		host = await watch(store, options);
		await turns();
		host.scripted.last.end();
		await host.runtime.whenIdle("k");
		expect(ended).toEqual([
			["k", 1, "expiry"],
			["k", 2, "expiry"],
			["k", 3, "reset"],
			["k", 4, "reset"],
			["k", 5, "delete"],
			["k", 6, "expiry"],
		]);
		expect(
			(await host.runtime.archive("k")).items.map((one) => [
				one.generation,
				one.endedBy,
			]),
		).toEqual(
			ended.map(([, generation, endedBy]) => [generation, endedBy]).reverse(),
		);
		expect(await agree(host, "k")).toMatchObject({ generation: 7 });
	});

	test("OT-05 a write to a session whose time is over goes to the one that comes after it, and what is carried over is the same for every cause", async () => {
		const causes: string[] = [];
		const host = await start({
			expiry: { daily: { hour: 4, timeZone: "UTC" } },
			carryOver: (meta, cause) => {
				causes.push(cause);
				const { model } = meta as { model?: string };
				return model === undefined ? {} : { model };
			},
		});
		const { runtime, scripted, clock } = host;
		const turn = async () => {
			const { settled } = await runtime.send("k", "hello");
			const { meta } = scripted.last.run.row;
			scripted.last.end();
			await settled;
			return meta;
		};
		await runtime.reset("k", { meta: { model: "m0", draft: "d" } });
		expect(await turn()).toEqual({ model: "m0", draft: "d" });
		await clock.advance(5 * hour);
		// The day has turned; nothing has rolled over yet, and /model comes.
		expect(await agree(host, "k")).toMatchObject({ generation: 1 });
		expect(await runtime.patch("k", { model: "X" })).toMatchObject({
			result: "done",
			row: { generation: 2, meta: { model: "X" } },
		});
		expect(await turn()).toEqual({ model: "X" });
		expect(await agree(host, "k")).toMatchObject({ generation: 2 });
		await runtime.patch("k", { draft: "e" });
		await runtime.reset("k");
		expect(await turn()).toEqual({ model: "X" });
		await runtime.patch("k", { draft: "f" });
		await clock.advance(24 * hour);
		expect(await turn()).toEqual({ model: "X" });
		expect(causes).toEqual(["expiry", "reset", "expiry"]);
		expect(await agree(host, "k")).toMatchObject({
			generation: 4,
			meta: { model: "X" },
		});
	});

	test("OT-07 an answer goes to the question that it names, whichever was asked first", async () => {
		const names = ["delete files", "send mail", "pay"];
		for (const order of [
			[0, 1, 2],
			[2, 1, 0],
			[1, 2, 0],
		]) {
			const host = await start();
			const { runtime, scripted } = host;
			const { ticket, settled } = await runtime.send("k", "work");
			if (!ticket) throw new Error("it did not start");
			const { run, end } = scripted.last;
			const answers = names.map((name) => run.waitFor(name));
			await turns();
			expect(await agree(host, "k")).toMatchObject({
				status: "waiting",
				waits: names,
			});
			// One that names none of them answers none.
			expect(await runtime.resume(ticket, "yes", true)).toMatchObject({
				result: "nothing",
			});
			for (const [i, index] of order.entries()) {
				const name = names[index] as string;
				expect(await runtime.resume(ticket, name, `to ${name}`)).toMatchObject({
					result: "done",
				});
				expect(await runtime.resume(ticket, name, "again")).toMatchObject({
					result: "nothing",
				});
				expect(await agree(host, "k")).toMatchObject({
					status: i < 2 ? "waiting" : "running",
					waits: names.filter((_, n) => !order.slice(0, i + 1).includes(n)),
				});
			}
			expect(await Promise.all(answers)).toEqual(
				names.map((name) => `to ${name}`),
			);
			end();
			expect(await settled).toMatchObject({ outcome: "completed" });
			expect(await agree(host, "k")).toMatchObject({ waits: [] });
		}
	});
});
