/**
 * Owns what the console sees of a runtime in this process, and what it may do there, by the calls that every host has. Follows the feed
 * only while somebody looks.
 */
import type { Subscription } from "xstate";
import type { SessionRow } from "../../machines/facts.ts";
import { checkMethods } from "../arguments.ts";
import type { Answer, EmbeddedRuntime, RuntimeEvent } from "../runtime.ts";
import type { ChangedRow, ConsoleSource } from "./console-source.ts";
import type {
	Command,
	CommandAnswer,
	RowsPage,
	SessionParts,
} from "./protocol.ts";
import {
	lineOf,
	most,
	newestOf,
	shownEntry,
	shownQueue,
} from "./session-parts.ts";
import { SessionTransitions } from "./session-transitions.ts";

const calls = [
	"subscribe",
	"inspect",
	"get",
	"list",
	"archive",
	"runs",
	"transcript",
	"refusals",
	"reset",
	"abort",
	"delete",
] as const;

/** What the console needs of a runtime: every `EmbeddedRuntime` has it, whatever its inputs, outputs and host fields are. */
export type ConsoleRuntime = Pick<
	EmbeddedRuntime<unknown, unknown, unknown>,
	(typeof calls)[number] | "queue"
>;

/** In the archive, why a generation ended or a run was stopped. */
const reason = "console";

export class RuntimeSource implements ConsoleSource {
	readonly description = {
		name: `the runtime of process ${process.pid}`,
		readOnly: null,
		tellsAll: true,
	};
	readonly #runtime: ConsoleRuntime;
	readonly #transitions: SessionTransitions;
	readonly #followers = new Set<(row: ChangedRow) => void>();
	readonly #watchers = new Map<string, Set<() => void>>();
	#feed: Subscription | null = null;

	/** INVALID_ARGUMENT for what is no runtime. */
	constructor(runtime: ConsoleRuntime) {
		checkMethods(runtime, "runtime", calls);
		this.#runtime = runtime;
		this.#transitions = new SessionTransitions(runtime);
	}

	async rows(cursor: string | null): Promise<RowsPage> {
		const page = await this.#runtime.list({
			limit: most.rows,
			cursor: cursor ?? undefined,
		});
		return { rows: page.items.map(lineOf), cursor: page.cursor };
	}

	async parts(sessionKey: string): Promise<SessionParts> {
		const runtime = this.#runtime;
		const row = await runtime.get(sessionKey);
		const runs = await runtime.runs(sessionKey, { limit: most.runs });
		const isStopped = runs.items.some(
			({ runId, outcome, stoppedBy }) =>
				runId === row?.activeRun?.runId &&
				outcome === null &&
				stoppedBy !== null,
		);
		return {
			row: row as SessionRow | null,
			// As the chart's `stateOf` says it of the facts.
			state:
				row === null
					? null
					: row.status === "running" && isStopped
						? "aborting"
						: row.status,
			transition: this.#transitions.of(sessionKey),
			generations: newestOf(
				await runtime.archive(sessionKey, { limit: most.generations }),
				({ runs: _runs, ...ended }) => ({
					...ended,
					row: ended.row as SessionRow,
				}),
			),
			runs: newestOf(runs, (run) => run),
			refusals: newestOf(
				await runtime.refusals({ sessionKey, limit: most.refusals }),
				(refusal) => refusal,
			),
			queue: shownQueue(await runtime.queue.list(sessionKey)),
			transcript: newestOf(
				await runtime.transcript(sessionKey, { limit: most.transcript }),
				shownEntry,
			),
		};
	}

	async carryOut(command: Command): Promise<CommandAnswer> {
		const { ask, sessionKey } = command;
		if (ask === "remove")
			return answerOf(
				await this.#runtime.queue.remove(sessionKey, command.messageId),
			);
		const { expect } = command;
		return answerOf(await this.#runtime[ask](sessionKey, { reason, expect }));
	}

	follow(changed: (row: ChangedRow) => void): () => void {
		this.#followers.add(changed);
		this.#listen();
		return () => {
			this.#followers.delete(changed);
			this.#listen();
		};
	}

	watch(sessionKey: string, changed: () => void): () => void {
		const own = () => changed();
		const watchers = this.#watchers.get(sessionKey) ?? new Set();
		this.#watchers.set(sessionKey, watchers.add(own));
		this.#listen();
		this.#transitions.watch(sessionKey);
		return () => {
			if (!watchers.delete(own)) return;
			if (watchers.size === 0) this.#watchers.delete(sessionKey);
			this.#transitions.unwatch(sessionKey);
			this.#listen();
		};
	}

	async close(): Promise<void> {}

	#listen(): void {
		const isAsked = this.#followers.size > 0 || this.#watchers.size > 0;
		if (isAsked)
			this.#feed ??= this.#runtime.subscribe((event) => this.#hear(event));
		else {
			this.#feed?.unsubscribe();
			this.#feed = null;
		}
	}

	#hear(event: RuntimeEvent<unknown>): void {
		switch (event.type) {
			case "row":
				this.#tell(event.row);
				break;
			case "deleted": {
				const { sessionKey, version } = event;
				this.#tell({ sessionKey, status: "deleted", version });
				break;
			}
			case "generation":
				this.#wake(event.ended.sessionKey);
				break;
			case "run":
				this.#wake(event.run.sessionKey);
				break;
			case "message":
				this.#wake(event.sessionKey);
				break;
			case "refusal":
				// Under which key it was filed is not said: any that is watched may have it.
				for (const sessionKey of this.#watchers.keys()) this.#wake(sessionKey);
				break;
		}
	}

	#tell(row: ChangedRow): void {
		for (const follower of this.#followers) follower(row);
		this.#wake(row.sessionKey);
	}

	#wake(sessionKey: string): void {
		const watchers = this.#watchers.get(sessionKey);
		if (watchers) for (const changed of watchers) changed();
	}
}

function answerOf(answer: Answer<unknown, unknown>): CommandAnswer {
	switch (answer.result) {
		case "done":
			return { result: "done", generation: answer.row.generation };
		case "stale":
			return { result: "stale", mismatch: answer.mismatch };
		case "nothing":
			return { result: "nothing" };
	}
}
