/**
 * Owns what one page is told of the session that it watches: all parts at first, then each that differs from what it was told last. Reads
 * at most so often, however much happens, and not at all for a page that does not keep up.
 */
import type { ConsoleSource } from "./console-source.ts";
import type { Line, SeenTransition, SessionParts } from "./protocol.ts";
import { readParts } from "./session-parts.ts";

const readEveryMs = 200;

export interface Watcher {
	isBehind(): boolean;
	tell(parts: Partial<SessionParts>): void;
}

export class SessionWatch {
	readonly #source: ConsoleSource;
	readonly #sessionKey: string;
	readonly #watcher: Watcher;
	/** What each part was when it was told, as JSON. */
	readonly #told = new Map<string, string>();
	#unwatch: () => void = () => {};
	#timer: NodeJS.Timeout | null = null;
	#isReading = false;
	/** Something changed since the last read began. */
	#isOld = false;
	#isOver = false;
	/** The chart's state as it was last seen; undefined: it was not yet. */
	#state: string | null | undefined;
	#version = 0;
	#runId: string | null = null;
	#transition: SeenTransition | null = null;

	constructor(source: ConsoleSource, sessionKey: string, watcher: Watcher) {
		this.#source = source;
		this.#sessionKey = sessionKey;
		this.#watcher = watcher;
	}

	/** Tells all parts, and from then on what changes. Rejects if the session cannot be read. */
	async begin(): Promise<void> {
		const unfollow = this.#source.follow((lines) => {
			// Each version comes by, where every change is told: nothing is passed over between two reads.
			for (const line of lines)
				if (line.sessionKey === this.#sessionKey) this.#pass(line);
		});
		const unwatch = this.#source.watch(this.#sessionKey, () => this.#change());
		this.#unwatch = () => {
			unfollow();
			unwatch();
		};
		await this.#read();
	}

	stop(): void {
		this.#isOver = true;
		this.#unwatch();
		if (this.#timer) clearTimeout(this.#timer);
	}

	#change(): void {
		this.#isOld = true;
		if (this.#isOver || this.#isReading || this.#timer) return;
		this.#timer = setTimeout(() => this.#look(), readEveryMs).unref();
	}

	#look(): void {
		this.#timer = null;
		if (this.#watcher.isBehind()) {
			this.#change();
			return;
		}
		// It could be read when the watch began: the next change may find it readable again.
		this.#read().catch(() => {});
	}

	async #read(): Promise<void> {
		this.#isReading = true;
		this.#isOld = false;
		try {
			const parts = await readParts(this.#source.reads, this.#sessionKey);
			if (this.#isOver) return;
			this.#see(parts.state, parts.row?.version ?? this.#version);
			this.#runId = parts.row?.activeRun?.runId ?? null;
			this.#tell({ ...parts, transition: this.#transition });
		} finally {
			this.#isReading = false;
		}
		if (this.#isOld) this.#change();
	}

	#tell(parts: SessionParts): void {
		const changed: [string, unknown][] = [];
		for (const [name, part] of Object.entries(parts)) {
			const text = JSON.stringify(part);
			if (this.#told.get(name) === text) continue;
			this.#told.set(name, text);
			changed.push([name, part]);
		}
		if (changed.length > 0) this.#watcher.tell(Object.fromEntries(changed));
	}

	#pass(line: Line): void {
		if (line.status === "deleted") {
			this.#see(null, line.version);
			return;
		}
		const { status, runId, version } = line;
		// A row says running of a run that was told to stop, too.
		const goesOn =
			status === "running" &&
			this.#state === "aborting" &&
			runId === this.#runId;
		this.#see(goesOn ? "aborting" : status, version);
		this.#runId = runId;
	}

	#see(state: string | null, version: number): void {
		// A read may have begun before.
		if (version < this.#version) return;
		this.#version = version;
		const before = this.#state;
		if (state === before) return;
		this.#state = state;
		if (before === undefined || before === null || state === null) return;
		this.#transition = { from: before, to: state, at: Date.now() };
	}
}
