/**
 * Owns the trace of a simulation: what was done, what was answered, what the feed said, a line each, the same bytes for the same seed. Ids
 * that the runtime made by itself are told by number. Text is made only when somebody reads it.
 */
import type { SessionRow } from "../../machines/facts.ts";
import type { RunTicket } from "../../machines/ticket.ts";
import { errorText, TurnkeeperError } from "../errors.ts";
import type { RuntimeEvent } from "../runtime.ts";

/** `>` what is done, `<` what is answered, `~` what the feed says, `*` what runs and the store do, `!` what must not be. */
export type Mark = ">" | "<" | "~" | "*" | "!";

interface Line {
	readonly step: number;
	readonly at: number;
	readonly mark: Mark;
	readonly say: () => string;
}

/** Ids of the runtime's own making. */
const rising = /0[0-9a-z]{8}-[0-9a-z]{7}-[0-9a-f]{12}/g;

export class Trace {
	#lines: Line[] = [];
	#began: number;
	#isOver = false;
	step = 0;

	constructor(began: number) {
		this.#began = began;
	}

	add(at: number, mark: Mark, say: () => string): void {
		if (this.#isOver) return;
		this.#lines.push({ step: this.step, at: at - this.#began, mark, say });
	}

	/** What comes after this is not part of it. */
	end(): void {
		this.#isOver = true;
	}

	/** All of it, or its last lines. */
	text(last = Number.POSITIVE_INFINITY): string {
		const names = new Map<string, string>();
		const lines = this.#lines.map(({ step, at, mark, say }) => {
			const said = say().replace(rising, (id) => {
				const name = names.get(id) ?? `auto${names.size + 1}`;
				names.set(id, name);
				return name;
			});
			return `${String(step).padStart(4)} ${String(at).padStart(7)} ${mark} ${said}`;
		});
		return lines.slice(-last).join("\n");
	}
}

export function ticketText(ticket: RunTicket | null): string {
	return ticket
		? `${ticket.runId}.${ticket.attempt} of ${ticket.sessionKey} g${ticket.generation} ${ticket.sessionId}`
		: "no run";
}

export function rowText(row: SessionRow | null): string {
	if (!row) return "no row";
	const parts = [
		`row ${row.sessionKey} v${row.version} g${row.generation} ${row.sessionId} ${row.status}`,
	];
	if (row.activeRun)
		parts.push(`runs ${row.activeRun.runId}.${row.activeRun.attempt}`);
	if (row.waits.length > 0) parts.push(`for ${row.waits.join(", ")}`);
	if (row.queued > 0) parts.push(`${row.queued} wait`);
	if (row.draining > 0) parts.push(`${row.draining} drain`);
	if (row.lastOutcome) parts.push(`last ${row.lastOutcome}`);
	if (row.lastError !== null) parts.push(JSON.stringify(row.lastError));
	if (row.totalTokens > 0)
		parts.push(`${row.inputTokens}+${row.outputTokens} tokens`);
	const meta = JSON.stringify(row.meta);
	if (meta !== "{}") parts.push(meta);
	return parts.join(" ");
}

export function eventText(event: RuntimeEvent): string {
	switch (event.type) {
		case "row":
			return rowText(event.row);
		case "deleted":
			return `deleted ${event.sessionKey} g${event.generation} v${event.version}`;
		case "generation": {
			const { sessionKey, generation, endedBy, runs } = event.ended;
			return `generation ${generation} of ${sessionKey} ended by ${endedBy}, ${runs.length} runs`;
		}
		case "run": {
			const { run } = event;
			const stopped = run.stoppedBy ? `, stopped by ${run.stoppedBy}` : "";
			return `run ${ticketText(run)} ${run.outcome}${stopped}${run.error === null ? "" : ` ${JSON.stringify(run.error)}`}`;
		}
		case "message":
			return `message ${event.messageId} of ${event.sessionKey} ${event.fate}${event.reason === null ? "" : `: ${event.reason}`}`;
		case "refusal":
			return `refusal ${event.refusal.report.runId} ${event.refusal.verdict}: ${event.refusal.reason}`;
		case "trouble":
			return `trouble ${problemText(event.error)}`;
	}
}

export function problemText(error: unknown): string {
	return error instanceof TurnkeeperError
		? `${error.code} ${error.text}`
		: errorText(error);
}
