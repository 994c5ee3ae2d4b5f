/** Overlap modes: what becomes of messages that arrive while their session is busy, for each mode and each situation. */
import type { JsonValue, ManagedRun, OverlapMode } from "turnkeeper";
import { describe, expect, test } from "vitest";
import { CrashingStore } from "../../src/testing/crashing-store.ts";
import { turns } from "../../src/testing/virtual-clock.ts";
import { type Host, startHost } from "../support/host.ts";
import { now } from "../support/scripted-host.ts";
import { storeKinds } from "../support/stores.ts";

/** What is seen of a few messages m1, m2 … on one key. */
interface Seen {
	/** Disposition of each receipt, or the code of the error. */
	readonly sent: readonly string[];
	/** What the feed said of the messages, in order. */
	readonly fates: readonly string[];
	/** What executors were given, in order. */
	readonly executed: readonly string[];
	/** The records of all runs, oldest first. */
	readonly runs: readonly string[];
	/** How each receipt settled. */
	readonly settled: readonly string[];
}

/** A session on which things happen, with everything that is seen of it. Inputs are the names of the messages. */
class Scene {
	host!: Host;
	#sent: Promise<string>[] = [];
	#settled: [name: string, outcome: Promise<string>][] = [];
	#names = new Map<string, string>();
	#executed: string[] = [];
	#open: { run: ManagedRun<JsonValue>; end: () => void }[] = [];
	#fates: string[] = [];

	async start(
		store: Parameters<typeof startHost>[0],
		options: Parameters<typeof startHost>[1],
	): Promise<this> {
		this.host = await startHost(store, {
			...options,
			execute: (run) => {
				const inputs = run.messages.map(({ input }) => input).join("+");
				const past = run.skipped.map(({ input }) => input).join("+");
				this.#executed.push(past ? `${inputs} past ${past}` : inputs);
				return new Promise<void>((end) => this.#open.push({ run, end }));
			},
		});
		this.host.runtime.subscribe((event) => {
			if (event.type === "message")
				this.#fates.push(`${event.messageId} ${event.fate}`);
		});
		return this;
	}

	/** Several calls in one tick. Ids are the runtime's, so that none of them waits for the store. */
	async burst(...names: string[]): Promise<void> {
		for (const name of names) {
			const receipt = this.host.runtime.send("k", name);
			this.#sent.push(
				receipt.then(
					({ disposition, messageId }) => {
						this.#names.set(messageId, name);
						return disposition;
					},
					({ code }) => code,
				),
			);
			this.#settled.push([
				name,
				receipt.then(
					({ settled }) => settled.then(({ outcome }) => outcome),
					() => "refused",
				),
			]);
		}
		await Promise.all(this.#sent);
	}

	/** The executor that was called first comes to its end. */
	async end(): Promise<void> {
		this.#open.shift()?.end();
		await turns();
	}

	/** Executors come to their end, one after the other, until none is left. */
	async play(): Promise<Seen> {
		await turns();
		while (this.#open.length > 0) await this.end();
		const { items } = await this.host.runtime.runs("k");
		const named = (ids: readonly string[]) =>
			ids.map((id) => this.#names.get(id)).join("+");
		const settled: string[] = [];
		for (const [name, one] of this.#settled)
			settled.push(`${name} ${await now(one)}`);
		return {
			sent: await Promise.all(this.#sent),
			fates: this.#fates.map((fate) => {
				const [id = "", what] = fate.split(" ");
				return `${this.#names.get(id)} ${what}`;
			}),
			executed: this.#executed,
			runs: items
				.map(({ messageIds, outcome }) => `${named(messageIds)} ${outcome}`)
				.reverse(),
			settled,
		};
	}
}

const modes = [
	"reject",
	"enqueue",
	"latest",
	"collect",
	"steer",
	"interrupt",
	"rollback",
] as const;

type Expected = Pick<Seen, "sent" | "executed" | "runs" | "fates" | "settled">;
const words = (line: string): string[] => line.split(/, /).filter(Boolean);
const seen = (
	sent: string,
	fates: string,
	executed: string,
	runs: string,
	settled: string,
): Expected => ({
	sent: words(sent),
	fates: words(fates),
	executed: words(executed),
	runs: words(runs),
	settled: words(settled),
});

/** What happens, in words and in calls. */
interface Situation {
	readonly title: string;
	readonly debounceMs?: number;
	play(scene: Scene, store: CrashingStore): Promise<void>;
	readonly expected: Record<OverlapMode, Expected>;
}

const busy = "SESSION_BUSY";

const situations: readonly Situation[] = [
	{
		title: "a burst on a key that nobody has used",
		play: (scene) => scene.burst("m1", "m2", "m3", "m4"),
		expected: {
			reject: seen(
				`started, ${busy}, ${busy}, ${busy}`,
				"m1 taken",
				"m1",
				"m1 completed",
				"m1 completed, m2 refused, m3 refused, m4 refused",
			),
			enqueue: seen(
				"started, queued, queued, queued",
				"m1 taken, m2 queued, m3 queued, m4 queued, m2 taken, m3 taken, m4 taken",
				"m1, m2, m3, m4",
				"m1 completed, m2 completed, m3 completed, m4 completed",
				"m1 completed, m2 completed, m3 completed, m4 completed",
			),
			latest: seen(
				"started, queued, queued, queued",
				"m1 taken, m2 queued, m2 removed, m3 queued, m3 removed, m4 queued, m4 taken",
				"m1, m4 past m2+m3",
				"m1 completed, m4 completed",
				"m1 completed, m2 removed, m3 removed, m4 completed",
			),
			collect: seen(
				"started, queued, queued, queued",
				"m1 taken, m2 queued, m3 queued, m4 queued, m2 taken, m3 taken, m4 taken",
				"m1, m2+m3+m4",
				"m1 completed, m2+m3+m4 completed",
				"m1 completed, m2 completed, m3 completed, m4 completed",
			),
			steer: seen(
				"started, steered, steered, steered",
				"m1 taken, m2 queued, m3 queued, m4 queued, m2 taken, m3 taken, m4 taken",
				"m1, m2, m3, m4",
				"m1 completed, m2 completed, m3 completed, m4 completed",
				"m1 completed, m2 completed, m3 completed, m4 completed",
			),
			// The first was stopped before it was executed; the older interrupts stand by arrival again.
			interrupt: seen(
				"started, queued, queued, queued",
				"m1 taken, m2 queued, m3 queued, m4 queued, m4 taken, m2 taken, m3 taken",
				"m4, m2, m3",
				"m1 aborted, m4 completed, m2 completed, m3 completed",
				"m1 aborted, m2 completed, m3 completed, m4 completed",
			),
			rollback: seen(
				"started, queued, queued, queued",
				"m1 taken, m2 queued, m3 queued, m4 queued, m4 taken, m2 taken, m3 taken",
				"m4, m2, m3",
				"m1 aborted, m4 completed, m2 completed, m3 completed",
				"m1 aborted, m2 completed, m3 completed, m4 completed",
			),
		},
	},
	{
		title: "a burst while a quiet window is open",
		debounceMs: 100,
		play: async (scene) => {
			await scene.burst("m1");
			await scene.host.clock.advance(60);
			await scene.burst("m2", "m3");
			await scene.host.clock.advance(100);
		},
		expected: {
			// The window of m1 is over before that: a refused message does not begin it anew.
			reject: seen(
				`queued, ${busy}, ${busy}`,
				"m1 queued, m1 taken",
				"m1",
				"m1 completed",
				"m1 completed, m2 refused, m3 refused",
			),
			enqueue: seen(
				"queued, queued, queued",
				"m1 queued, m2 queued, m3 queued, m1 taken, m2 taken, m3 taken",
				"m1, m2, m3",
				"m1 completed, m2 completed, m3 completed",
				"m1 completed, m2 completed, m3 completed",
			),
			latest: seen(
				"queued, queued, queued",
				"m1 queued, m1 removed, m2 queued, m2 removed, m3 queued, m3 taken",
				"m3 past m1+m2",
				"m3 completed",
				"m1 removed, m2 removed, m3 completed",
			),
			collect: seen(
				"queued, queued, queued",
				"m1 queued, m2 queued, m3 queued, m1 taken, m2 taken, m3 taken",
				"m1+m2+m3",
				"m1+m2+m3 completed",
				"m1 completed, m2 completed, m3 completed",
			),
			// There is no run to steer.
			steer: seen(
				"queued, queued, queued",
				"m1 queued, m2 queued, m3 queued, m1 taken, m2 taken, m3 taken",
				"m1, m2, m3",
				"m1 completed, m2 completed, m3 completed",
				"m1 completed, m2 completed, m3 completed",
			),
			interrupt: seen(
				"queued, queued, queued",
				"m1 queued, m2 queued, m3 queued, m3 taken, m1 taken, m2 taken",
				"m3, m1, m2",
				"m3 completed, m1 completed, m2 completed",
				"m1 completed, m2 completed, m3 completed",
			),
			rollback: seen(
				"queued, queued, queued",
				"m1 queued, m2 queued, m3 queued, m3 taken, m1 taken, m2 taken",
				"m3, m1, m2",
				"m3 completed, m1 completed, m2 completed",
				"m1 completed, m2 completed, m3 completed",
			),
		},
	},
	{
		title: "a burst during a run",
		play: async (scene) => {
			await scene.burst("m1");
			await scene.burst("m2", "m3", "m4");
		},
		expected: {
			reject: seen(
				`started, ${busy}, ${busy}, ${busy}`,
				"m1 taken",
				"m1",
				"m1 completed",
				"m1 completed, m2 refused, m3 refused, m4 refused",
			),
			enqueue: seen(
				"started, queued, queued, queued",
				"m1 taken, m2 queued, m3 queued, m4 queued, m2 taken, m3 taken, m4 taken",
				"m1, m2, m3, m4",
				"m1 completed, m2 completed, m3 completed, m4 completed",
				"m1 completed, m2 completed, m3 completed, m4 completed",
			),
			latest: seen(
				"started, queued, queued, queued",
				"m1 taken, m2 queued, m2 removed, m3 queued, m3 removed, m4 queued, m4 taken",
				"m1, m4 past m2+m3",
				"m1 completed, m4 completed",
				"m1 completed, m2 removed, m3 removed, m4 completed",
			),
			collect: seen(
				"started, queued, queued, queued",
				"m1 taken, m2 queued, m3 queued, m4 queued, m2 taken, m3 taken, m4 taken",
				"m1, m2+m3+m4",
				"m1 completed, m2+m3+m4 completed",
				"m1 completed, m2 completed, m3 completed, m4 completed",
			),
			steer: seen(
				"started, steered, steered, steered",
				"m1 taken, m2 queued, m3 queued, m4 queued, m2 taken, m3 taken, m4 taken",
				"m1, m2, m3, m4",
				"m1 completed, m2 completed, m3 completed, m4 completed",
				"m1 completed, m2 completed, m3 completed, m4 completed",
			),
			interrupt: seen(
				"started, queued, queued, queued",
				"m1 taken, m2 queued, m3 queued, m4 queued, m4 taken, m2 taken, m3 taken",
				"m1, m4, m2, m3",
				"m1 aborted, m4 completed, m2 completed, m3 completed",
				"m1 aborted, m2 completed, m3 completed, m4 completed",
			),
			rollback: seen(
				"started, queued, queued, queued",
				"m1 taken, m2 queued, m3 queued, m4 queued, m4 taken, m2 taken, m3 taken",
				"m1, m4, m2, m3",
				"m1 aborted, m4 completed, m2 completed, m3 completed",
				"m1 aborted, m2 completed, m3 completed, m4 completed",
			),
		},
	},
	{
		title: "an abort while others wait",
		play: async (scene) => {
			await scene.burst("m1");
			await scene.burst("m2", "m3");
			const aborted = scene.host.runtime.abort("k");
			await turns();
			await scene.end();
			await aborted;
		},
		expected: {
			reject: seen(
				`started, ${busy}, ${busy}`,
				"m1 taken",
				"m1",
				"m1 aborted",
				"m1 aborted, m2 refused, m3 refused",
			),
			enqueue: seen(
				"started, queued, queued",
				"m1 taken, m2 queued, m3 queued, m2 taken, m3 taken",
				"m1, m2, m3",
				"m1 aborted, m2 completed, m3 completed",
				"m1 aborted, m2 completed, m3 completed",
			),
			latest: seen(
				"started, queued, queued",
				"m1 taken, m2 queued, m2 removed, m3 queued, m3 taken",
				"m1, m3 past m2",
				"m1 aborted, m3 completed",
				"m1 aborted, m2 removed, m3 completed",
			),
			collect: seen(
				"started, queued, queued",
				"m1 taken, m2 queued, m3 queued, m2 taken, m3 taken",
				"m1, m2+m3",
				"m1 aborted, m2+m3 completed",
				"m1 aborted, m2 completed, m3 completed",
			),
			steer: seen(
				"started, steered, steered",
				"m1 taken, m2 queued, m3 queued, m2 taken, m3 taken",
				"m1, m2, m3",
				"m1 aborted, m2 completed, m3 completed",
				"m1 aborted, m2 completed, m3 completed",
			),
			interrupt: seen(
				"started, queued, queued",
				"m1 taken, m2 queued, m3 queued, m3 taken, m2 taken",
				"m1, m3, m2",
				"m1 aborted, m3 completed, m2 completed",
				"m1 aborted, m2 completed, m3 completed",
			),
			rollback: seen(
				"started, queued, queued",
				"m1 taken, m2 queued, m3 queued, m3 taken, m2 taken",
				"m1, m3, m2",
				"m1 aborted, m3 completed, m2 completed",
				"m1 aborted, m2 completed, m3 completed",
			),
		},
	},
	{
		title: "a reset while others wait, and one more during the drain",
		play: async (scene) => {
			await scene.burst("m1");
			await scene.burst("m2", "m3");
			const reset = scene.host.runtime.reset("k");
			await turns();
			await scene.burst("m4");
			await scene.end();
			await reset;
		},
		expected: {
			reject: seen(
				`started, ${busy}, ${busy}, ${busy}`,
				"m1 taken",
				"m1",
				"m1 aborted",
				"m1 aborted, m2 refused, m3 refused, m4 refused",
			),
			enqueue: seen(
				"started, queued, queued, queued",
				"m1 taken, m2 queued, m3 queued, m4 queued, m2 taken, m3 taken, m4 taken",
				"m1, m2, m3, m4",
				"m1 aborted, m2 completed, m3 completed, m4 completed",
				"m1 aborted, m2 completed, m3 completed, m4 completed",
			),
			latest: seen(
				"started, queued, queued, queued",
				"m1 taken, m2 queued, m2 removed, m3 queued, m3 removed, m4 queued, m4 taken",
				"m1, m4 past m2+m3",
				"m1 aborted, m4 completed",
				"m1 aborted, m2 removed, m3 removed, m4 completed",
			),
			collect: seen(
				"started, queued, queued, queued",
				"m1 taken, m2 queued, m3 queued, m4 queued, m2 taken, m3 taken, m4 taken",
				"m1, m2+m3+m4",
				"m1 aborted, m2+m3+m4 completed",
				"m1 aborted, m2 completed, m3 completed, m4 completed",
			),
			// What drains is not to be steered any more.
			steer: seen(
				"started, steered, steered, queued",
				"m1 taken, m2 queued, m3 queued, m4 queued, m2 taken, m3 taken, m4 taken",
				"m1, m2, m3, m4",
				"m1 aborted, m2 completed, m3 completed, m4 completed",
				"m1 aborted, m2 completed, m3 completed, m4 completed",
			),
			interrupt: seen(
				"started, queued, queued, queued",
				"m1 taken, m2 queued, m3 queued, m4 queued, m4 taken, m2 taken, m3 taken",
				"m1, m4, m2, m3",
				"m1 aborted, m4 completed, m2 completed, m3 completed",
				"m1 aborted, m2 completed, m3 completed, m4 completed",
			),
			rollback: seen(
				"started, queued, queued, queued",
				"m1 taken, m2 queued, m3 queued, m4 queued, m4 taken, m2 taken, m3 taken",
				"m1, m4, m2, m3",
				"m1 aborted, m4 completed, m2 completed, m3 completed",
				"m1 aborted, m2 completed, m3 completed, m4 completed",
			),
		},
	},
	{
		title: "a crash while others wait",
		play: async (scene, store) => {
			const { host } = scene;
			await scene.burst("m1");
			await scene.burst("m2", "m3");
			await store.crash();
			await scene.end();
			await scene.start(store, {
				clock: host.clock,
				overlap: "reject",
			});
			await turns();
		},
		expected: {
			reject: seen(
				`started, ${busy}, ${busy}`,
				"m1 taken",
				"m1",
				"m1 interrupted",
				"m1 pending, m2 refused, m3 refused",
			),
			enqueue: seen(
				"started, queued, queued",
				"m1 taken, m2 queued, m3 queued, m2 taken, m3 taken",
				"m1, m2, m3",
				"m1 interrupted, m2 completed, m3 completed",
				"m1 pending, m2 pending, m3 pending",
			),
			latest: seen(
				"started, queued, queued",
				"m1 taken, m2 queued, m2 removed, m3 queued, m3 taken",
				"m1, m3 past m2",
				"m1 interrupted, m3 completed",
				"m1 pending, m2 removed, m3 pending",
			),
			collect: seen(
				"started, queued, queued",
				"m1 taken, m2 queued, m3 queued, m2 taken, m3 taken",
				"m1, m2+m3",
				"m1 interrupted, m2+m3 completed",
				"m1 pending, m2 pending, m3 pending",
			),
			steer: seen(
				"started, steered, steered",
				"m1 taken, m2 queued, m3 queued, m2 taken, m3 taken",
				"m1, m2, m3",
				"m1 interrupted, m2 completed, m3 completed",
				"m1 pending, m2 pending, m3 pending",
			),
			// It was told to stop before the crash, and that is how it ended.
			interrupt: seen(
				"started, queued, queued",
				"m1 taken, m2 queued, m3 queued, m3 taken, m2 taken",
				"m1, m3, m2",
				"m1 aborted, m3 completed, m2 completed",
				"m1 pending, m2 pending, m3 pending",
			),
			rollback: seen(
				"started, queued, queued",
				"m1 taken, m2 queued, m3 queued, m3 taken, m2 taken",
				"m1, m3, m2",
				"m1 aborted, m3 completed, m2 completed",
				"m1 pending, m2 pending, m3 pending",
			),
		},
	},
];

for (const [kind, makeStore] of storeKinds)
	describe(`overlap modes, on ${kind}`, () => {
		for (const { title, debounceMs = 0, play, expected } of situations)
			describe(title, () => {
				for (const mode of modes)
					test(`under ${mode}`, async () => {
						const store = new CrashingStore(makeStore());
						const scene = await new Scene().start(store, {
							overlap: { mode, debounceMs },
						});
						await play(scene, store);
						expect(await scene.play()).toEqual(expected[mode]);
					});
			});
	});
