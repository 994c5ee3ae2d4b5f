/** Owns how the console looks at a runtime of this process: by its feed, which it follows only while somebody looks on. */
import { sessionChart } from "../../machines/chart.ts";
import type { Answer, EmbeddedRuntime, RuntimeEvent } from "../runtime.ts";
import type { ConsoleSource } from "./console-source.ts";
import type { Command, CommandAnswer, HostDescription } from "./protocol.ts";
import { lineOf, type SessionReads } from "./session-parts.ts";

type Runtime = EmbeddedRuntime<unknown, unknown, unknown>;

/** What the console needs of a runtime; whatever its inputs and fields are, it has that. */
export type ShownRuntime = SessionReads &
	Pick<Runtime, "subscribe" | "reset" | "abort" | "delete"> & {
		readonly queue: Pick<Runtime["queue"], "list" | "remove">;
	};

/** As the archive will tell of a generation that was ended here. */
const reason = "console";

export class RuntimeSource implements ConsoleSource {
	readonly reads: ShownRuntime;
	readonly host: HostDescription = {
		name: `process ${process.pid}`,
		readOnly: null,
		tellsAll: true,
		chart: sessionChart(),
	};

	constructor(runtime: ShownRuntime) {
		this.reads = runtime;
	}

	follow(tell: Parameters<ConsoleSource["follow"]>[0]): () => void {
		const subscription = this.reads.subscribe((event) => {
			if (event.type === "row") tell([lineOf(event.row)]);
			if (event.type === "deleted")
				tell([
					{
						sessionKey: event.sessionKey,
						status: "deleted",
						version: event.version,
					},
				]);
		});
		return () => subscription.unsubscribe();
	}

	watch(sessionKey: string, tell: () => void): () => void {
		const subscription = this.reads.subscribe((event) => {
			const key = keyOf(event);
			if (key === sessionKey || key === null) tell();
		});
		return () => subscription.unsubscribe();
	}

	async command(command: Command): Promise<CommandAnswer> {
		const { sessionKey } = command;
		switch (command.ask) {
			case "reset": {
				const { expect } = command;
				return answered(await this.reads.reset(sessionKey, { reason, expect }));
			}
			case "abort": {
				const { expect } = command;
				return answered(await this.reads.abort(sessionKey, { reason, expect }));
			}
			case "delete": {
				const { expect } = command;
				return answered(
					await this.reads.delete(sessionKey, { reason, expect }),
				);
			}
			case "remove":
				return answered(
					await this.reads.queue.remove(sessionKey, command.messageId),
				);
		}
	}
}

function answered(answer: Answer<unknown, unknown>): CommandAnswer {
	switch (answer.result) {
		case "done":
			return { result: "done", generation: answer.row.generation };
		case "stale":
			return { result: "stale", mismatch: answer.mismatch };
		case "nothing":
			return { result: "nothing" };
	}
}

/** Null: it may be about any. */
function keyOf(event: RuntimeEvent<unknown>): string | null {
	switch (event.type) {
		case "row":
			return event.row.sessionKey;
		case "generation":
			return event.ended.sessionKey;
		case "run":
			return event.run.sessionKey;
		case "refusal":
			return event.refusal.report.sessionKey ?? null;
		case "trouble":
			return null;
		default:
			return event.sessionKey;
	}
}
