/** Owns a runtime under test with a clock of its own and everything it published. */
import {
	createSessionRuntime,
	type EmbeddedRuntime,
	type JsonValue,
	type ManagedRun,
	type RuntimeEvent,
	type RuntimeOptions,
	type SessionRow,
	type SessionStore,
} from "turnkeeper";
import { onTestFinished } from "vitest";
import { VirtualClock } from "../../src/testing/virtual-clock.ts";

export interface Host {
	readonly runtime: EmbeddedRuntime<JsonValue, unknown, JsonValue>;
	readonly clock: VirtualClock;
	readonly store: SessionStore;
	readonly feed: RuntimeEvent[];
	/** The last row of a key on the feed; null if it was deleted. */
	feedRow(sessionKey: string): SessionRow | null | undefined;
}

/** `lookAt` gets the runtime before it starts; what it gives back is what the test calls. */
export async function startHost(
	store: SessionStore,
	options: Partial<RuntimeOptions<JsonValue, unknown, JsonValue>> = {},
	lookAt: (runtime: Host["runtime"]) => Host["runtime"] = (runtime) => runtime,
): Promise<Host> {
	const clock =
		options.clock instanceof VirtualClock ? options.clock : new VirtualClock();
	const runtime = createSessionRuntime<JsonValue>({
		store,
		logger: silent,
		...options,
		clock: options.clock ?? clock,
	});
	const feed: RuntimeEvent[] = [];
	runtime.subscribe((event) => feed.push(event));
	const looked = lookAt(runtime);
	onTestFinished(async () => {
		let closed = false;
		const closing = runtime.close({ graceMs: 0 }).finally(() => {
			closed = true;
		});
		// A store that died under it is waited for as long as the runtime's own patience lasts.
		while (!closed) await clock.advance(1000);
		await closing;
	});
	await runtime.start();
	return {
		runtime: looked,
		clock,
		store,
		feed,
		feedRow: (sessionKey) => lastRow(feed, sessionKey),
	};
}

/** The last row of a key on a feed; null if it was deleted. */
export function lastRow(
	feed: readonly RuntimeEvent[],
	sessionKey: string,
): SessionRow | null | undefined {
	const event = feed.findLast(
		(one) =>
			(one.type === "row" && one.row.sessionKey === sessionKey) ||
			(one.type === "deleted" && one.sessionKey === sessionKey),
	);
	if (!event) return undefined;
	return event.type === "row" ? event.row : null;
}

export const silent = { debug() {}, info() {}, warn() {}, error() {} };

/** An executor whose runs end when the test says so. */
export class Scripted {
	readonly runs: {
		run: ManagedRun<JsonValue>;
		end: (output?: unknown) => void;
		fail: (error: unknown) => void;
	}[] = [];

	readonly execute = (run: ManagedRun<JsonValue>): Promise<unknown> => {
		const { promise, resolve, reject } = Promise.withResolvers<unknown>();
		this.runs.push({ run, end: resolve, fail: reject });
		return promise;
	};

	get last() {
		const last = this.runs.at(-1);
		if (!last) throw new Error("nothing was executed yet");
		return last;
	}
}
