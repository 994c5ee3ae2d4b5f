/** What a run put into its scope is disposed with it, once, last in first out, however it ends, and never holds a session up for ever. */
import { describe, expect, test } from "vitest";
import { FaultyStore } from "../../src/testing/faulty-store.ts";
import { turns } from "../../src/testing/virtual-clock.ts";
import { close } from "../support/restart.ts";
import {
	now,
	type ScriptedHost,
	startScripted,
} from "../support/scripted-host.ts";
import { storeKinds } from "../support/stores.ts";
import { deathsOf } from "../support/unhandled.ts";

/** A logger that remembers what was said at its two upper levels. */
function listening() {
	const said: string[] = [];
	const note = (_: unknown, message?: string) => {
		said.push(String(message));
	};
	return { said, logger: { debug() {}, info() {}, warn: note, error: note } };
}

for (const [kind, makeStore] of storeKinds)
	describe(`a scope, on ${kind}`, () => {
		async function running(options: Parameters<typeof startScripted>[1] = {}) {
			const store = new FaultyStore(makeStore());
			const { said, logger } = listening();
			const host = await startScripted(store, {
				graceMs: 100,
				logger,
				...options,
			});
			const { settled } = await host.runtime.send("k", "hello");
			const { run, end, fail } = host.scripted.last;
			const disposed: string[] = [];
			for (const name of ["first", "second"])
				run.scope.defer(() => {
					disposed.push(name);
				});
			run.scope.use({
				[Symbol.asyncDispose]: async () => {
					await turns(2);
					disposed.push("last");
				},
			});
			return { ...host, store, said, settled, run, end, fail, disposed };
		}
		type Running = Awaited<ReturnType<typeof running>>;

		const ends: Record<string, [(host: Running) => Promise<unknown>, string]> =
			{
				"by itself": [
					async ({ end, settled }) => {
						end();
						await settled;
					},
					"completed",
				],
				"by an error": [
					async ({ fail, settled }) => {
						fail(new Error("no"));
						await settled;
					},
					"failed",
				],
				"by an abort": [
					async ({ runtime, end }) => {
						const aborted = runtime.abort("k");
						end();
						await aborted;
					},
					"aborted",
				],
				"by a reset": [
					async ({ runtime, end }) => {
						const reset = runtime.reset("k");
						end();
						await reset;
					},
					"aborted",
				],
				"by a delete": [
					async ({ runtime, end }) => {
						const deleted = runtime.delete("k");
						end();
						await deleted;
					},
					"aborted",
				],
				"by a newer message": [
					async ({ runtime, end, settled }) => {
						await runtime.send("k", "newer", { overlap: "interrupt" });
						end();
						await settled;
					},
					"aborted",
				],
				abandoned: [
					async ({ runtime, clock }) => {
						const aborted = runtime.abort("k");
						await clock.advance(100);
						await aborted;
					},
					"abandoned",
				],
				"abandoned by a reset": [
					async ({ runtime, clock }) => {
						const reset = runtime.reset("k");
						await clock.advance(100);
						await reset;
					},
					"abandoned",
				],
				"with the runtime": [
					async (host) => {
						void host.end();
						await close(host, { graceMs: 100 });
					},
					"interrupted",
				],
				"with the runtime, deaf": [
					(host) => close(host, { graceMs: 100 }),
					"abandoned",
				],
			};

		for (const [how, [bring, outcome]] of Object.entries(ends))
			test(`of a run that ends ${how} is disposed once, last in first out`, async () => {
				const host = await running();
				await bring(host);
				expect(await host.settled).toMatchObject({ outcome });
				await turns();
				expect(host.disposed).toEqual(["last", "second", "first"]);
				// Whatever the executor still does.
				host.end();
				await host.clock.advance(1000);
				expect(host.disposed).toHaveLength(3);
				expect(host.run.scope.disposed).toBe(true);
			});

		test("is disposed before the end of its run is kept, and before anybody is told", async () => {
			const { run, runtime, end, settled, disposed } = await running();
			const held = Promise.withResolvers<void>();
			run.scope.defer(() => held.promise);
			end("done");
			expect(await now(settled)).toBe("pending");
			expect(await runtime.get("k")).toMatchObject({ status: "running" });
			expect(disposed).toEqual([]);
			held.resolve();
			expect(await settled).toMatchObject({ output: "done" });
			expect(disposed).toEqual(["last", "second", "first"]);
		});

		test("is disposed before the next run of its session begins", async () => {
			const { run, runtime, end, scripted } = await running();
			await runtime.send("k", "next");
			const held = Promise.withResolvers<void>();
			run.scope.defer(() => held.promise);
			end();
			await turns();
			expect(scripted.runs).toHaveLength(1);
			held.resolve();
			await turns();
			expect(scripted.runs).toHaveLength(2);
		});

		test("is no longer waited for once its grace period is over, which is said once", async () => {
			const { run, clock, end, settled, said } = await running();
			run.scope.defer(() => new Promise(() => {}));
			end("done");
			await clock.advance(99);
			expect(await now(settled)).toBe("pending");
			await clock.advance(1);
			expect(await settled).toMatchObject({
				outcome: "completed",
				output: "done",
			});
			await clock.advance(10_000);
			expect(said.filter((one) => one.includes("scope"))).toEqual([
				expect.stringContaining(run.ticket.runId),
			]);
		});

		test("of a run that was told to stop has what is left of that grace period", async () => {
			const { run, runtime, clock, end, settled } = await running();
			run.scope.defer(() => new Promise(() => {}));
			const aborted = runtime.abort("k");
			await clock.advance(60);
			end();
			await clock.advance(39);
			expect(await now(settled)).toBe("pending");
			await clock.advance(1);
			expect(await now(settled)).toMatchObject({ outcome: "abandoned" });
			await aborted;
		});

		for (const [what, dispose] of Object.entries({
			throws: () => {
				throw new Error("stuck fast");
			},
			rejects: () => Promise.reject(new Error("stuck fast")),
			"throws no Error": () => {
				throw "stuck fast";
			},
		}))
			test(`that ${what} fails nothing: the rest is disposed, the run ends as it did, and it is said once`, async () => {
				const deaths = await deathsOf(async () => {
					const { run, end, settled, disposed, said, runtime } =
						await running();
					run.scope.defer(dispose);
					end("done");
					expect(await settled).toMatchObject({
						outcome: "completed",
						output: "done",
					});
					await turns();
					expect(disposed).toEqual(["last", "second", "first"]);
					expect(said.filter((one) => one.includes("scope"))).toEqual([
						expect.stringContaining("stuck fast"),
					]);
					expect(await runtime.get("k")).toMatchObject({ status: "ended" });
				});
				expect(deaths).toEqual([]);
			});

		test("that hangs holds no close up", async () => {
			const host = await running();
			host.run.scope.defer(() => new Promise(() => {}));
			host.end();
			await close(host, { graceMs: 100 });
			expect(await host.settled).toMatchObject({ outcome: "abandoned" });
		});

		test("is disposed once though the end of its run is kept only at the third try", async () => {
			const { end, settled, disposed, store, clock } = await running();
			store.broken = true;
			end();
			await clock.advance(400);
			expect(await now(settled)).toBe("pending");
			expect(disposed).toHaveLength(3);
			store.broken = false;
			await clock.advance(5000);
			expect(await settled).toMatchObject({ outcome: "completed" });
			expect(disposed).toHaveLength(3);
		});

		test("may do what a run may do until it settles", async () => {
			const { runtime } = await startScripted(makeStore(), {
				execute: (run) => {
					run.scope.defer(() => run.append("goodbye"));
				},
			});
			await (await runtime.send("k", "hello")).settled;
			expect((await runtime.transcript("k")).items).toMatchObject([
				{ entry: "goodbye" },
			]);
		});

		test("that is looked at only after the end is over already", async () => {
			const { runtime, scripted } = await startScripted(makeStore());
			const { settled } = await runtime.send("k", "hello");
			const { run, end } = scripted.last;
			end();
			await settled;
			expect(run.scope.disposed).toBe(true);
			expect(() => run.scope.defer(() => {})).toThrow(ReferenceError);
			expect(run.scope).toBe(run.scope);
		});

		test("takes nothing more after the end", async () => {
			const { run, end, settled, disposed } = await running();
			end();
			await settled;
			expect(() =>
				run.scope.defer(() => {
					disposed.push("never");
				}),
			).toThrow(ReferenceError);
			expect(disposed).toHaveLength(3);
		});

		test("that its run disposed itself is not disposed again", async () => {
			const { run, end, settled, disposed } = await running();
			await run.scope.disposeAsync();
			expect(disposed).toHaveLength(3);
			end();
			expect(await settled).toMatchObject({ outcome: "completed" });
			expect(disposed).toHaveLength(3);
		});

		describe("of a run that the host drives", () => {
			async function admitted() {
				const host = await startScripted(makeStore(), { graceMs: 100 });
				const run = await host.runtime.admit("k");
				const disposed: string[] = [];
				for (const name of ["first", "last"])
					run.scope.defer(() => {
						disposed.push(name);
					});
				return { ...host, run, disposed };
			}

			const hostEnds: Record<
				string,
				(
					host: ScriptedHost &
						Pick<Awaited<ReturnType<typeof admitted>>, "run">,
				) => PromiseLike<unknown>
			> = {
				"with its end": ({ run }) => run.end(),
				"with its failure": ({ run }) => run.fail("no"),
				"with a report": ({ runtime, run }) =>
					runtime.report({ runId: run.ticket.runId, phase: "end" }),
				"when its host lets it go": ({ run }) => run[Symbol.asyncDispose](),
				"with a reset": ({ runtime, run }) => {
					const reset = runtime.reset("k");
					void run.end();
					return reset;
				},
				"when a reset gives it up": async ({ runtime, clock }) => {
					const reset = runtime.reset("k");
					await clock.advance(100);
					await reset;
				},
				"with the runtime": (host) => close(host, { graceMs: 100 }),
			};
			for (const [how, end] of Object.entries(hostEnds))
				test(`is disposed ${how}`, async () => {
					const host = await admitted();
					await end(host);
					await turns();
					expect(host.disposed).toEqual(["last", "first"]);
					await host.run[Symbol.asyncDispose]();
					expect(host.disposed).toHaveLength(2);
				});

			test("is disposed with its reservation, if that is given up", async () => {
				const { runtime } = await startScripted(makeStore());
				const disposed: string[] = [];
				for (const how of ["abort", "reset", "dispose"]) {
					const run = await runtime.admit("k", { reserve: true, runId: how });
					run.scope.defer(() => {
						disposed.push(how);
					});
					if (how === "abort")
						await runtime.abort("k", { expect: { runId: how } });
					else if (how === "reset") await runtime.reset("k");
					else await run[Symbol.asyncDispose]();
					await turns();
				}
				expect(disposed).toEqual(["abort", "reset", "dispose"]);
			});

			test("is not disposed by a refused or repeated report", async () => {
				const { runtime, run, disposed } = await admitted();
				await runtime.report({
					runId: run.ticket.runId,
					generation: 7,
					phase: "end",
				});
				await run.start();
				await run.start();
				await turns();
				expect(disposed).toEqual([]);
				await run.end();
				await turns();
				expect(disposed).toHaveLength(2);
			});
		});
	});
