/** `turnkeeper simulate` as a user calls it: seeds over threads, the one that breaks a promise, and being interrupted. */
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { text } from "node:stream/consumers";
import { pathToFileURL } from "node:url";
import { simulate } from "turnkeeper/testing";
import { describe, expect, test } from "vitest";
import { temporaryFile } from "../support/stores.ts";
import { failure, start, turnkeeper, turnkeeperJson } from "./turnkeeper.ts";

const memory = pathToFileURL(
	new URL("../../src/memory.ts", import.meta.url).pathname,
).href;

/** A module of a user's. */
function moduleOf(source: string): string {
	const file = temporaryFile("simulated.mjs");
	writeFileSync(file, source);
	return file;
}

/** A store that forgets what waits whenever it is read. */
const forgetful = `
	import { memoryStore } from ${JSON.stringify(memory)};
	export function store() {
		const inner = memoryStore();
		return {
			read: () => inner.read(),
			open: async (owner) => {
				const store = await inner.open(owner);
				const load = store.load.bind(store);
				return Object.assign(store, {
					load: async (key) => {
						const loaded = await load(key);
						return loaded && { ...loaded, queue: [] };
					},
				});
			},
		};
	}`;

describe("turnkeeper simulate", () => {
	test("ends with one line that says what was played", async () => {
		const { code, stdout, stderr } = await turnkeeper([
			"simulate",
			"--seeds",
			"6",
			"--steps",
			"40",
		]);
		expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
		expect(stdout).toMatch(
			/^6 seeds: \d+ calls, \d+ runs, \d+ commits, \d+ crash(es)?, every promise kept \(\d+ seeds\/s\)\n$/,
		);
	});

	test("plays the same on one thread as on several", async () => {
		const play = (threads: string) =>
			turnkeeperJson<Record<string, unknown>>([
				"simulate",
				"--seeds",
				"6",
				"--seed",
				"3",
				"--threads",
				threads,
			]);
		const { seconds: _, ...one } = await play("1");
		const { seconds: __, ...several } = await play("3");
		expect(several).toEqual(one);
		expect(one).toMatchObject({
			first: 3,
			asked: 6,
			played: 6,
			steps: 150,
			failed: null,
		});
	});

	test("prints the trace of one seed, the same that simulate gives", async () => {
		const { stdout } = await turnkeeper(["simulate", "--seed", "5", "--trace"]);
		const { trace } = await simulate({ seed: 5 });
		expect(stdout.slice(0, trace.length)).toBe(trace);
		expect(stdout.slice(trace.length)).toMatch(/^\n1 seed: /);
	});

	test("tells the seed that breaks a promise, and exits with 1", async () => {
		const module = moduleOf(forgetful);
		const args = ["simulate", "--seeds", "60", "--with", module];
		const { code, stdout, stderr } = await turnkeeper(args);
		expect(code).toBe(1);
		expect(stdout).toMatch(
			/^a promise is broken \(accepted is durable\): .*\nseen in step \d+ of seed \d+; play it again: .*\nthe end of the trace:\n/,
		);
		const seed = /of seed (\d+)/.exec(stdout)?.[1];
		expect(stderr).toBe(
			`turnkeeper: seed ${seed} breaks a promise: accepted is durable\n`,
		);
		const again = await turnkeeper([
			"simulate",
			"--seed",
			String(seed),
			"--with",
			module,
			"--json",
		]);
		expect(again.code).toBe(1);
		expect(JSON.parse(again.stdout)).toMatchObject({
			played: 0,
			failed: {
				seed: Number(seed),
				promise: "accepted is durable",
				report: stdout.trimEnd(),
			},
		});
	});

	test("tells what was played until it was interrupted", async () => {
		const module = moduleOf(`
			import { isMainThread } from "node:worker_threads";
			if (!isMainThread) process.stderr.write("playing");
			export const execute = () => {};`);
		const child = start(["simulate", "--seeds", "1000000", "--with", module]);
		const said = text(child.stdout);
		await once(child.stderr, "data");
		child.kill("SIGINT");
		const [code] = await once(child, "close");
		expect(code).toBe(130);
		expect(await said).toMatch(
			/^\d+ seeds? of 1000000, then interrupted: .* every promise kept/,
		);
	});

	test.each([
		["export const other = 1;", /exports other; it must export one of execute/],
		[
			"throw new Error('no luck');",
			/simulated\.mjs cannot be loaded: no luck$/,
		],
	])("a module such as %s is refused", async (source, message) => {
		expect(await turnkeeper(["simulate", "--with", moduleOf(source)])).toEqual(
			failure(1, message),
		);
	});
});
