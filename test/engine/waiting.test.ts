/** `until` and `whenIdle`: those who wait for committed state. */
import type { SessionRow } from "turnkeeper";
import { describe, expect, test } from "vitest";
import { FaultyStore } from "../../src/testing/faulty-store.ts";
import { turns } from "../../src/testing/virtual-clock.ts";
import { close } from "../support/restart.ts";
import { codeOf, now, startScripted, wrong } from "../support/scripted-host.ts";
import { storeKinds } from "../support/stores.ts";

const ended = (row: SessionRow | null) => row?.status === "ended";

for (const [kind, makeStore] of storeKinds)
	describe(`waiting, on ${kind}`, () => {
		const start = (options?: Parameters<typeof startScripted>[1]) =>
			startScripted(makeStore(), options);

		describe("until", () => {
			test("resolves at once with the row for which it holds already, in memory or not, or with none", async () => {
				const { runtime, clock } = await start({ passivateAfterMs: 10 });
				expect(await runtime.until("k", (row) => row === null)).toBeNull();
				const { row } = await runtime.reset("k");
				expect(await runtime.until("k", (one) => one !== null)).toEqual(row);
				await clock.advance(10);
				expect(runtime.stats().resident).toBe(0);
				expect(await runtime.until("k", (one) => one !== null)).toEqual(row);
			});

			test("resolves with the first committed row for which it holds, and sees each version once", async () => {
				const { runtime, scripted } = await start();
				const seen: unknown[] = [];
				const waited = runtime.until("k", (row) => {
					seen.push(row && [row.version, row.status]);
					return ended(row);
				});
				await turns();
				await runtime.send("k", "hello");
				await runtime.patch("k", { a: 1 });
				expect(await now(waited)).toBe("pending");
				scripted.last.end();
				const row = await waited;
				expect(row).toEqual(await runtime.get("k"));
				await runtime.patch("k", { a: 2 });
				expect(seen).toEqual([
					null,
					[1, "running"],
					[2, "running"],
					[3, "ended"],
				]);
			});

			test("sees a row that came and went before anybody could read it", async () => {
				const { runtime } = await start();
				await runtime.reset("k");
				const waited = runtime.until(
					"k",
					(row) => JSON.stringify(row?.meta) === '{"a":1}',
				);
				await Promise.all([
					runtime.patch("k", { a: 1 }),
					runtime.patch("k", { a: 2 }),
				]);
				expect(await waited).toMatchObject({ meta: { a: 1 }, version: 2 });
			});

			test("sees that a session is deleted", async () => {
				const { runtime } = await start();
				await runtime.reset("k");
				const waited = runtime.until("k", (row) => row === null);
				await runtime.delete("k");
				expect(await waited).toBeNull();
			});

			test("is never told of what was not committed", async () => {
				const store = new FaultyStore(makeStore());
				const { runtime } = await startScripted(store);
				await runtime.reset("k");
				const waited = runtime.until("k", (row) => row?.version === 2);
				await turns();
				store.faults.push("before", "before");
				expect(await codeOf(runtime.patch("k", { lost: 1 }))).toBe(
					"STORE_FAILED",
				);
				expect(await now(waited)).toBe("pending");
				await runtime.patch("k", { kept: 1 });
				expect(await waited).toMatchObject({ meta: { kept: 1 } });
			});

			test("gives up after its time, and says for what it waited", async () => {
				const { runtime, clock } = await start();
				const waited = runtime
					.until("k", ended, { timeoutMs: 100 })
					.catch((error) => error);
				await clock.advance(99);
				expect(await now(waited)).toBe("pending");
				await clock.advance(1);
				expect(await waited).toMatchObject({
					code: "WAIT_TIMEOUT",
					message: expect.stringMatching(/"k".*100 ms/),
				});
			});

			test("with no time at all still answers what holds already", async () => {
				const { runtime, clock } = await start();
				const none = runtime.until("k", (row) => row === null, {
					timeoutMs: 0,
				});
				expect(await none).toBeNull();
				const never = codeOf(runtime.until("k", ended, { timeoutMs: 0 }));
				await clock.advance(0);
				expect(await never).toBe("WAIT_TIMEOUT");
			});

			test("stops when its signal says so, before and while it waits", async () => {
				const { runtime, clock } = await start();
				const reason = new Error("no longer interested");
				await expect(
					runtime.until("k", ended, { signal: AbortSignal.abort(reason) }),
				).rejects.toBe(reason);
				const controller = new AbortController();
				let asked = 0;
				const waited = runtime.until(
					"k",
					() => {
						asked += 1;
						return false;
					},
					{ signal: controller.signal, timeoutMs: 1000 },
				);
				await turns();
				controller.abort(reason);
				await expect(waited).rejects.toBe(reason);
				const before = asked;
				await runtime.reset("k");
				await clock.advance(2000);
				expect(asked).toBe(before);
			});

			test("passes on what its condition throws, at once or later, and asks no more", async () => {
				const { runtime } = await start();
				await expect(
					runtime.until("k", () => {
						throw new Error("cannot tell");
					}),
				).rejects.toThrow("cannot tell");
				let asked = 0;
				const later = runtime.until("k", (row) => {
					asked += 1;
					if (row) throw new Error("cannot tell a row");
					return false;
				});
				later.catch(() => {});
				await turns();
				const { result } = await runtime.reset("k");
				expect(result).toBe("done");
				await expect(later).rejects.toThrow("cannot tell a row");
				await runtime.patch("k", {});
				expect(asked).toBe(2);
			});

			test("is told that the runtime has closed", async () => {
				const host = await start();
				const waited = codeOf(host.runtime.until("k", ended));
				await turns();
				await close(host);
				expect(await waited).toBe("RUNTIME_CLOSED");
				expect(await codeOf(host.runtime.until("k", () => true))).toBe(
					"RUNTIME_CLOSED",
				);
			});

			test("takes nothing but a function, and milliseconds", async () => {
				const { runtime } = await start();
				for (const holds of [undefined, null, true, {}])
					expect(await codeOf(runtime.until("k", wrong(holds)))).toBe(
						"INVALID_ARGUMENT",
					);
				for (const timeoutMs of [-1, "5", Number.NaN])
					expect(
						await codeOf(
							runtime.until("k", () => true, { timeoutMs: wrong(timeoutMs) }),
						),
					).toBe("INVALID_ARGUMENT");
				expect(await codeOf(runtime.until("", () => true))).toBe(
					"INVALID_ARGUMENT",
				);
			});
		});

		describe("whenIdle", () => {
			test("resolves at once where nothing is to do", async () => {
				const { runtime } = await start();
				await runtime.whenIdle();
				await runtime.whenIdle("nobody");
				await runtime.reset("k");
				await runtime.whenIdle("k");
				await runtime.whenIdle();
			});

			test("waits for the run, and for all that waits behind it", async () => {
				const { runtime, scripted } = await start();
				await runtime.send("k", 1);
				await runtime.send("k", 2);
				const idle = runtime.whenIdle("k");
				const all = runtime.whenIdle();
				scripted.last.end();
				expect(await now(idle)).toBe("pending");
				scripted.last.end();
				await idle;
				await all;
				expect(await runtime.get("k")).toMatchObject({
					status: "ended",
					queued: 0,
				});
			});

			test("waits for a drain, also of a deleted session", async () => {
				const { runtime, scripted } = await start();
				await runtime.send("k", 1);
				void runtime.delete("k").catch(() => {});
				const idle = runtime.whenIdle("k");
				const all = runtime.whenIdle();
				expect(await now(idle)).toBe("pending");
				expect(await now(all)).toBe("pending");
				scripted.last.end();
				await idle;
				await all;
			});

			test("of one session does not wait for another, of all it does", async () => {
				const { runtime, scripted } = await start();
				await runtime.send("a", 1);
				await runtime.send("b", 1);
				const b = runtime.whenIdle("b");
				const all = runtime.whenIdle();
				scripted.last.end();
				await b;
				expect(await now(all)).toBe("pending");
				scripted.runs[0]?.end();
				await all;
			});

			test("waits for a message that is still being accepted", async () => {
				const { runtime, scripted } = await start();
				const sent = runtime.send("k", 1);
				const idle = runtime.whenIdle("k");
				const all = runtime.whenIdle();
				await sent;
				expect(await now(idle)).toBe("pending");
				expect(await now(all)).toBe("pending");
				scripted.last.end();
				await idle;
				await all;
			});

			test("waits for a run that the host drives, not for a reservation", async () => {
				const { runtime } = await start();
				await runtime.admit("k", { runId: "Q", reserve: true });
				await runtime.whenIdle();
				const run = await runtime.admit("k");
				const idle = runtime.whenIdle("k");
				expect(await now(idle)).toBe("pending");
				await run.end();
				await idle;
			});

			test("stops when its signal says so, and is told that the runtime has closed", async () => {
				const host = await start();
				const { runtime } = host;
				await runtime.send("k", 1);
				const controller = new AbortController();
				const reason = new Error("enough");
				const stopped = runtime.whenIdle("k", { signal: controller.signal });
				const closed = codeOf(runtime.whenIdle("k"));
				const closedAll = codeOf(runtime.whenIdle());
				controller.abort(reason);
				await expect(stopped).rejects.toBe(reason);
				await close(host, { graceMs: 10 });
				// The run was stopped, so there was nothing left to do; or the runtime was gone first.
				for (const how of [await closed, await closedAll])
					expect([{ resolved: undefined }, "RUNTIME_CLOSED"]).toContainEqual(
						how,
					);
				expect(await codeOf(runtime.whenIdle())).toBe("RUNTIME_CLOSED");
			});
		});
	});
