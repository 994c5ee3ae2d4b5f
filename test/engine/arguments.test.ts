/** Bad input gets a clear error and changes nothing: which argument, what it was, and what would have been right. */
import { describe, expect, test } from "vitest";
import { turns } from "../../src/testing/virtual-clock.ts";
import { close, restart } from "../support/restart.ts";
import { startScripted, wrong } from "../support/scripted-host.ts";
import { storeKinds } from "../support/stores.ts";

const badKeys: Record<string, readonly [unknown, RegExp]> = {
	"no key": [undefined, /sessionKey is undefined; it must be a string/],
	null: [null, /sessionKey is null; it must be a string/],
	"a number": [42, /sessionKey is 42/],
	"an object": [{}, /sessionKey is \{\}/],
	"a symbol": [Symbol("k"), /sessionKey is Symbol\(k\)/],
	"an empty key": ["", /sessionKey is empty/],
	"4097 bytes": [
		"k".repeat(4097),
		/sessionKey has 4097 bytes; it may have 4096/,
	],
	"4098 bytes of longer characters": [
		"é".repeat(2049),
		/sessionKey has 4098 bytes/,
	],
	"a zero": ["a\u0000b", /sessionKey.*control characters/],
	"a line break": ["a\nb", /control characters/],
	"a tab": ["\t", /control characters/],
	DEL: ["a\u007f", /control characters/],
	"a control character of the second set": ["a\u0085", /control characters/],
};

const goodKeys = [
	"__proto__",
	"constructor",
	"toString",
	"agent:main:telegram:42",
	"a/b\\c/../d",
	`it's "quoted" and \`ticked\``,
	"'; DROP TABLE sessions; --",
	"100%_of*these?",
	" ",
	" spaced ",
	"🦊",
	"👩‍👩‍👧",
	"ключ",
	"e\u0301",
	"\u00e9",
	"\u2028",
	"\ufeff",
	"\uffff",
	"0",
	"null",
	"k".repeat(4096),
	"é".repeat(2048),
	"🦊".repeat(1024),
];

const badInputs: Record<string, unknown> = {
	undefined: undefined,
	"a function": () => {},
	"a BigInt": 1n,
	"a symbol": Symbol("x"),
	"no number": Number.NaN,
	infinity: Number.POSITIVE_INFINITY,
	"a date": new Date(0),
	"a Map": new Map([["a", 1]]),
	"a Set": new Set([1]),
	"a regular expression": /x/,
	"an Error": new Error("x"),
	"a promise": Promise.resolve(1),
	bytes: new Uint8Array([1]),
	"an instance of a class": new (class Message {
		text = "hello";
	})(),
	"a cycle": (() => {
		const one: Record<string, unknown> = {};
		one.list = [one];
		return one;
	})(),
	"a hole": new Array(2),
};

for (const [kind, makeStore] of storeKinds)
	describe(`arguments, on ${kind}`, () => {
		const start = (options?: Parameters<typeof startScripted>[1]) =>
			startScripted(makeStore(), options);
		type Runtime = Awaited<ReturnType<typeof start>>["runtime"];

		describe("a session key", () => {
			const calls: Record<string, (r: Runtime, key: never) => unknown> = {
				send: (r, key) => r.send(key, "x"),
				admit: (r, key) => r.admit(key),
				reset: (r, key) => r.reset(key),
				abort: (r, key) => r.abort(key),
				delete: (r, key) => r.delete(key),
				patch: (r, key) => r.patch(key, {}),
				import: (r, key) => r.import([{ sessionKey: key, sessionId: "S" }]),
				get: (r, key) => r.get(key),
				archive: (r, key) => r.archive(key),
				runs: (r, key) => r.runs(key),
				until: (r, key) => r.until(key, () => true),
				atom: (r, key) => r.atom(key),
			};
			for (const [name, [key, words]] of Object.entries(badKeys))
				test(`of ${name} is refused by every call`, async () => {
					const { runtime, feed } = await start();
					for (const [call, make] of Object.entries(calls)) {
						const error = await (async () => make(runtime, wrong(key)))().catch(
							(error) => error,
						);
						expect([call, error]).toMatchObject([
							call,
							{
								name: "TurnkeeperError",
								code: "INVALID_ARGUMENT",
								message: expect.stringMatching(words),
							},
						]);
					}
					expect(feed).toEqual([]);
					expect(runtime.stats().resident).toBe(0);
				});

			test("may be anything else, and no two are mixed up", async () => {
				const host = await start({ execute: () => {} });
				for (const [i, key] of goodKeys.entries()) {
					const { settled } = await host.runtime.send(key, i, {
						messageId: key,
						meta: { i },
					});
					await settled;
					await host.runtime.reset(key, { meta: { i } });
				}
				const { runtime } = await restart(host);
				for (const [i, key] of goodKeys.entries()) {
					expect(await runtime.get(key)).toMatchObject({
						sessionKey: key,
						generation: 2,
						meta: { i },
					});
					expect((await runtime.archive(key)).items).toMatchObject([
						{ sessionKey: key, row: { meta: { i } } },
					]);
					expect((await runtime.runs(key)).items).toMatchObject([
						{ sessionKey: key, messageIds: [key] },
					]);
				}
				expect((await runtime.list({ limit: 1000 })).items).toHaveLength(
					goodKeys.length,
				);
			});
		});

		describe("an id", () => {
			const calls: Record<
				string,
				[string, (r: Runtime, id: never) => unknown]
			> = {
				"of a message": [
					"messageId",
					(r, messageId) => r.send("k", "x", { messageId }),
				],
				"of a run": ["runId", (r, runId) => r.admit("k", { runId })],
				"of an admitted session": [
					"sessionId",
					(r, sessionId) => r.admit("k", { sessionId }),
				],
				"of a reset session": [
					"sessionId",
					(r, sessionId) => r.reset("k", { sessionId }),
				],
				"of a reset": [
					"messageId",
					(r, messageId) => r.reset("k", { messageId }),
				],
				"of an imported session": [
					"sessionId",
					(r, sessionId) => r.import([{ sessionKey: "k", sessionId }]),
				],
			};
			for (const [name, [argument, call]] of Object.entries(calls))
				test(`${name} follows the rules of keys`, async () => {
					const { runtime } = await start();
					for (const id of [null, 5, "", {}, "a\nb", "x".repeat(4097)])
						await expect(
							(async () => call(runtime, wrong(id)))(),
						).rejects.toMatchObject({
							code: "INVALID_ARGUMENT",
							message: expect.stringContaining(argument),
						});
					expect(await runtime.get("k")).toBeNull();
				});

			test("that the host's own makers return, and that is none, gives way to a fresh one", async () => {
				for (const bad of ["", 5, undefined, "a\nb"])
					for (const name of ["sessionId", "runId"] as const) {
						const said: string[] = [];
						const { runtime } = await start({
							ids: { [name]: () => wrong(bad) },
							logger: {
								debug() {},
								info() {},
								warn() {},
								error: (_, text) => said.push(text ?? ""),
							},
						});
						const { ticket } = await runtime.send("k", "x");
						expect(ticket?.[name]).toEqual(
							expect.stringMatching(/^[\w-]{20,}$/),
						);
						expect(said[0]).toContain(`ids.${name}`);
					}
			});
		});

		describe("an input", () => {
			for (const [name, input] of Object.entries(badInputs))
				test(`of ${name} is refused, at the top and inside, and nothing is kept of it`, async () => {
					const { runtime, feed, scripted } = await start();
					// A field that is undefined is no field.
					const inside =
						input === undefined ? [[input]] : [[input], { a: { b: input } }];
					for (const given of [input, ...inside])
						await expect(
							runtime.send("k", wrong(given), { messageId: "m1" }),
						).rejects.toMatchObject({
							code: "INVALID_INPUT",
							message: expect.stringMatching(
								/^input.* cannot be stored; it must be JSON/,
							),
						});
					for (const give of [
						() =>
							runtime.send("k", "x", { meta: wrong({ a: input ?? [input] }) }),
						() => runtime.admit("k", { meta: wrong([input]) }),
						() => runtime.reset("k", { meta: wrong([input]) }),
					])
						await expect(give()).rejects.toMatchObject({
							code: "INVALID_INPUT",
							message: expect.stringMatching(/^meta.* cannot be stored/),
						});
					expect(await runtime.get("k")).toBeNull();
					expect(feed).toEqual([]);
					expect(scripted.runs).toEqual([]);
				});

			test("is named by the path to what is wrong with it", async () => {
				const { runtime } = await start();
				await expect(
					runtime.send("k", wrong({ user: { tags: ["a", new Date()] } })),
				).rejects.toThrow(/^input\.user\.tags\[1\] cannot be stored/);
			});

			const good: Record<string, unknown> = {
				null: null,
				true: true,
				zero: 0,
				"a small number": 5e-324,
				"an empty text": "",
				"any text": 'line\nbreak \u0000 🦊 "quotes" \\ \u2028 \ud800',
				"an empty list": [],
				"an empty object": {},
				"nested JSON": { a: [1, [2, { b: null }]], "": { "a.b": false } },
				"an object without prototype": Object.assign(Object.create(null), {
					a: 1,
				}),
				"a field named __proto__": JSON.parse('{"__proto__": {"a": 1}}'),
				"the same object twice": (() => {
					const one = { a: 1 };
					return [one, one];
				})(),
				"a long text": "x".repeat(1_000_000),
			};
			for (const [name, input] of Object.entries(good))
				test(`of ${name} arrives as it was sent, also after a restart`, async () => {
					const host = await start();
					await host.runtime.send("k", "first");
					await host.runtime.send("k", wrong(input));
					await close(host);
					const { scripted } = await startScripted(host.store);
					await turns();
					const [message] = scripted.last.run.messages;
					expect(JSON.stringify(message?.input)).toBe(JSON.stringify(input));
				});
		});

		describe("an option", () => {
			const calls: Record<string, [string, (r: Runtime) => unknown]> = {
				"overlap that is none": [
					"overlap",
					(r) => r.send("k", "x", { overlap: wrong("newest") }),
				],
				"overlap of null": [
					"overlap",
					(r) => r.send("k", "x", { overlap: wrong(null) }),
				],
				"reason that is no text": [
					"reason",
					(r) => r.reset("k", { reason: wrong(5) }),
				],
				"reason of an abort": [
					"reason",
					(r) => r.abort("k", { reason: wrong({}) }),
				],
				"negative grace": ["graceMs", (r) => r.reset("k", { graceMs: -1 })],
				"grace of text": [
					"graceMs",
					(r) => r.abort("k", { graceMs: wrong("5s") }),
				],
				"grace that is no number": [
					"graceMs",
					(r) => r.delete("k", { graceMs: Number.NaN }),
				],
				"queued that is none": [
					"queued",
					(r) => r.reset("k", { queued: wrong("later") }),
				],
				"queued of a delete": [
					"queued",
					(r) => r.delete("k", { queued: wrong(true) }),
				],
			};
			for (const [call, make] of Object.entries({
				send: (r: Runtime, expect: never) => r.send("k", "x", { expect }),
				admit: (r: Runtime, expect: never) => r.admit("k", { expect }),
				reset: (r: Runtime, expect: never) => r.reset("k", { expect }),
				abort: (r: Runtime, expect: never) => r.abort("k", { expect }),
				delete: (r: Runtime, expect: never) => r.delete("k", { expect }),
				patch: (r: Runtime, expect: never) => r.patch("k", {}, { expect }),
			}))
				for (const [name, expectation, argument] of [
					["null", null, "expect"],
					["a number", 3, "expect"],
					["an unknown field", { id: "x" }, "expect.id"],
					["a generation of text", { generation: "3" }, "expect.generation"],
					["a version of null", { version: null }, "expect.version"],
					["a session id of number", { sessionId: 5 }, "expect.sessionId"],
					["a run id of object", { runId: {} }, "expect.runId"],
				] as const)
					calls[`expectation of ${name} (${call})`] = [
						argument,
						(r) => make(r, wrong(expectation)),
					];
			for (const [name, [argument, call]] of Object.entries(calls))
				test(`with an ${name} is refused by name`, async () => {
					const { runtime } = await start();
					const { row } = await runtime.reset("k");
					await expect((async () => call(runtime))()).rejects.toMatchObject({
						code: "INVALID_ARGUMENT",
						message: expect.stringContaining(argument),
					});
					expect(await runtime.get("k")).toEqual(row);
				});
		});

		test("an error shows the value, and no more than a line of it", async () => {
			const { runtime } = await start();
			const error = await runtime
				.send("k", "x", { messageId: wrong({ id: "x".repeat(10_000) }) })
				.catch((error) => error);
			expect(error.message).toContain('{"id":"xxx');
			expect(error.message.length).toBeLessThan(200);
			expect(error.message).not.toContain("\n");
		});
	});
