/**
 * Owns what the scenarios of the catalogue share: a host on each kind of store, or on another engine, and the proof that everything that shows
 * a session shows the same. Never decides what is right in a scenario.
 */
import type { SessionRow, SessionStore } from "turnkeeper";
import type { SessionFacts } from "turnkeeper/machines";
import { afterEach, beforeEach, describe, expect } from "vitest";
import type { AnyActorRef } from "xstate";
import { shownRow } from "../../machines/facts.ts";
import { CrashingStore } from "../../src/testing/crashing-store.ts";
import type { FaultyStore } from "../../src/testing/faulty-store.ts";
import { Recorder } from "../../src/testing/recorder.ts";
import type { Trace } from "../../src/testing/trace.ts";
import { VirtualClock } from "../../src/testing/virtual-clock.ts";
import { type Host, Scripted, startHost } from "../support/host.ts";
import type { ScriptedHost, startScripted } from "../support/scripted-host.ts";
import { storeKinds } from "../support/stores.ts";
import { threadStore } from "../support/thread-turns.ts";
import { idOf, keepDrawing } from "./drawings.ts";

type Options = Parameters<typeof startScripted>[1];

/** A host with an inspector that has looked on since its start. */
export type WatchedHost = ScriptedHost & {
	/** What the inspector was last shown of a key; undefined if nothing. */
	inspected(sessionKey: string): SessionFacts | undefined;
};

export interface Stage {
	readonly makeStore: () => SessionStore;
	/** A host on a fresh store of this kind. */
	start(options?: Options): Promise<WatchedHost>;
}

/** Where else than on the embedded engine scenarios are played. */
export interface Elsewhere extends Stage {
	readonly name: string;
	watch: typeof watch;
	/** What else shows a session there, each by its name. */
	views(sessionKey: string): Promise<Views>;
}

/** A session as it is shown. */
interface Views {
	readonly rows: Readonly<Record<string, SessionRow | null>>;
	/** How many of its runs drain. */
	readonly draining: number;
}

let elsewhere: Elsewhere | null = null;

/** Scenarios that are defined from here on are played there. */
export function playElsewhere(stage: Elsewhere): void {
	elsewhere = stage;
}

/** Who records, by the store that it stands before; in order of their first host in this test. */
const recorders = new Map<SessionStore, Recorder>();
const drawn: Trace[] = [];

/** For the gallery: a trace that a scenario has made by itself. */
export function draw(trace: Trace): void {
	drawn.push(trace);
}

/** Categories that every run also plays on a thread, as many as take a few seconds. RACES_ON_THREAD=1 plays all of them there. */
const onThread = ["AC", "CH", "DR", "LU", "OT", "RR", "SC", "TC"];

function kindsFor(category: string): typeof storeKinds {
	const isOnThread =
		process.env.RACES_ON_THREAD || onThread.includes(category.slice(0, 2));
	return isOnThread
		? [...storeKinds, ["sqlite on a thread", threadStore]]
		: storeKinds;
}

/** The scenarios of one category, on each kind of store. Each leaves a trace that can be drawn. */
export function scenarios(
	category: string,
	define: (stage: Stage) => void,
): void {
	if (elsewhere) {
		const stage = elsewhere;
		describe(`${category}, on ${stage.name}`, () => define(stage));
		return;
	}
	for (const [kind, makeStore] of kindsFor(category))
		describe(`${category}, on ${kind}`, () => {
			beforeEach(() => {
				recorders.clear();
				drawn.length = 0;
			});
			afterEach(({ task }) => {
				if (idOf(task.name) === null) return;
				const recorded = [...recorders.values()].map(({ trace }) => trace);
				const traces = [...drawn, ...recorded];
				expectDrawn(traces);
				if (kind === "memory") keepDrawing(task.file.name, task.name, traces);
			});
			define({ makeStore, start: (options) => watch(makeStore(), options) });
		});
}

/** Whatever a scenario does is seen by the one who draws it. */
function expectDrawn(traces: readonly Trace[]): void {
	expect(traces.length, "traces").toBeGreaterThan(0);
	const most = traces.toSorted((a, b) => b.steps.length - a.steps.length)[0];
	expect(most?.steps.length, "steps of its trace").toBeGreaterThan(2);
	for (const trace of traces.slice(0, 2)) {
		const svg = trace.svg();
		expect(svg).toMatch(/^<svg .*<\/svg>$/s);
		expect(svg).not.toMatch(/NaN|undefined|\[object/);
		const { length } = trace.text({ lanes: 1000 }).split("\n");
		expect(length).toBe(trace.lanes.length + trace.steps.length);
	}
}

/** A host on a store that a scenario has wrapped, or that another host has left. */
export async function watch(
	store: SessionStore,
	options?: Options,
): Promise<WatchedHost> {
	if (elsewhere) return elsewhere.watch(store, options);
	const recorder = recorders.get(store) ?? new Recorder();
	recorders.set(store, recorder);
	if (store instanceof CrashingStore) store.onCrash = () => recorder.died();
	const scripted = new Scripted();
	const clock = options?.clock ?? new VirtualClock();
	const execute =
		options && "execute" in options ? options.execute : scripted.execute;
	recorder.begins(clock);
	const looked = await startHost(
		store,
		{
			...options,
			...(execute ? { execute: recorder.execute(execute) } : {}),
			clock,
			store: recorder.store(store),
		},
		(runtime) => recorder.runtime(runtime),
	);
	const host = { ...looked, scripted };
	const seen = new Map<string, SessionFacts>();
	host.runtime.inspect((event) => {
		if (event.type !== "@xstate.snapshot") return;
		const { context } = event.snapshot as {
			context?: { facts?: SessionFacts };
		};
		const { id } = event.actorRef as AnyActorRef;
		if (context?.facts?.sessionKey === id) seen.set(id, context.facts);
	});
	return { ...host, inspected: (key) => seen.get(key) };
}

/**
 * `get`, `list`, the atom, the feed, the inspector and the store show one and the same row, the feed has shown each version once, and
 * the archive is whole. To be asked when nothing is under way. Resolves with the row.
 */
export async function agree(
	host: Host | WatchedHost,
	key: string,
): Promise<SessionRow | null> {
	const { runtime, feed } = host;
	const { rows, draining } = await (elsewhere?.views(key) ??
		viewsOf(host, key));
	const row = await runtime.get(key);
	expect(await listed(host, key), "list").toEqual(row);
	// What a host has not seen change since its start is not on its feed.
	const shown = host.feedRow(key);
	if (shown !== undefined) expect(shown, "feed").toEqual(row);
	for (const [view, seen] of Object.entries(rows))
		expect(seen, view).toEqual(row);
	const versions = feed.flatMap((event) =>
		event.type === "row" && event.row.sessionKey === key
			? [event.row.version]
			: event.type === "deleted" && event.sessionKey === key
				? [event.version]
				: [],
	);
	expect(versions, "versions on the feed").toEqual(
		[...new Set(versions)].sort((a, b) => a - b),
	);
	await expectWhole(host, key, row, draining);
	return row;
}

async function viewsOf(host: Host | WatchedHost, key: string): Promise<Views> {
	const { runtime, store } = host;
	// Of a session that is not in memory, an atom reads the row first.
	const atom = runtime.atom(key);
	await runtime.get(key);
	const reader = await store.read();
	const loaded = await reader.load(key);
	await reader[Symbol.asyncDispose]();
	const inspected = "inspected" in host ? host.inspected(key) : undefined;
	return {
		rows: {
			atom: atom.get(),
			store: loaded && shownRow(loaded.facts),
			...(inspected ? { inspector: shownRow(inspected) } : {}),
		},
		draining: loaded?.facts.draining.length ?? 0,
	};
}

async function listed(
	{ runtime }: Host,
	key: string,
): Promise<SessionRow | null> {
	const { items } = await runtime.list({ prefix: key });
	return items.find(({ sessionKey }) => sessionKey === key) ?? null;
}

/** Each generation has its own runs and the sum of their tokens; only what drains is open in the archive. */
async function expectWhole(
	{ runtime }: Host,
	key: string,
	row: SessionRow | null,
	draining: number,
): Promise<void> {
	const { items: archive } = await runtime.archive(key);
	const { items: runs } = await runtime.runs(key, { limit: 1000 });
	const stopping = runs.filter(
		({ outcome, stoppedBy, generation }) =>
			outcome === null &&
			stoppedBy !== null &&
			archive.some((ended) => ended.generation === generation),
	);
	for (const shown of [row, ...archive.map((ended) => ended.row)]) {
		// What drains completes the row of its generation when it settles.
		if (!shown || stopping.some((run) => run.generation === shown.generation))
			continue;
		const own = runs.filter(
			({ generation }) => generation === shown.generation,
		);
		const sum = (of: "inputTokens" | "outputTokens") =>
			own.reduce((total, run) => total + run[of], 0);
		expect(
			[shown.inputTokens, shown.outputTokens],
			`tokens of generation ${shown.generation}`,
		).toEqual([sum("inputTokens"), sum("outputTokens")]);
	}
	const openRows = archive.filter((ended) => ended.row.hasActiveRun);
	expect(openRows.length, "archived rows that run").toBe(draining);
	expect(stopping.length, "archived runs that are open").toBe(draining);
	for (const ended of archive) {
		expect(ended.row.generation).toBe(ended.generation);
		for (const run of ended.runs) expect(run.generation).toBe(ended.generation);
		if (row) expect(ended.generation).toBeLessThan(row.generation);
	}
}

/** Another process writes the row of a key behind its owner's back, as the owner is about to write it. */
export function overtake(store: FaultyStore, key: string): Promise<void> {
	const { promise, resolve } = Promise.withResolvers<void>();
	store.beforeCommit = async (batch) => {
		const own = batch.sessions.find(({ sessionKey }) => sessionKey === key);
		if (!own?.facts) return;
		store.beforeCommit = null;
		const { version } = own.facts;
		await store.opened?.commit({ sessions: [own], refusals: [] });
		await store.opened?.commit({
			sessions: [
				{
					...own,
					baseVersion: version,
					facts: { ...own.facts, version: version + 1 },
					generations: [],
					runs: [],
					messages: [],
					entries: [],
					hides: [],
				},
			],
			refusals: [],
		});
		resolve();
	};
	return promise;
}
