/** Owns what a store must hold after the steps of a path, gathered from what the machine asked for. Never asks a runtime. */
import type { MessageFate, SessionEffects } from "../../machines/events.ts";
import type { SessionFacts, StoredEntry } from "../../machines/facts.ts";
import {
	ownsRun,
	type RunFacts,
	stepRun,
	ticketOf,
} from "../../machines/run.ts";
import type { StoreReader } from "../store.ts";
import type { PathStep } from "./paths.ts";
import { same } from "./same.ts";

/** A version that came to be. */
interface Version {
	readonly facts: SessionFacts;
	/** Whether readers saw no session before it. */
	readonly hidden: boolean;
}

export class Ledger {
	/** In order; whoever has looked takes them away. */
	readonly versions: Version[] = [];
	#last: Pick<SessionFacts, "version" | "hidden"> = {
		version: 0,
		hidden: true,
	};
	#runs: readonly RunFacts[] = [];
	#generations = new Map<number, SessionEffects["keepGeneration"]>();
	#messages = new Map<string, MessageFate>();
	#entries: readonly StoredEntry[] = [];
	/** Reports that were not applied, as their verdicts say why. */
	#refusals: readonly string[] = [];

	/** What a step brings. */
	note({ event, facts, effects }: PathStep): void {
		if (facts.version !== this.#last.version)
			this.versions.push({ facts, hidden: this.#last.hidden });
		this.#last = facts;
		for (const { type, params } of effects)
			notes[type as keyof SessionEffects]?.(this, params as never);
		// What comes late is counted by its session; the record of its run is the engine's to mend.
		if (event.type === "usage" || event.type === "delivered")
			this.#runs = this.#runs.map((run) =>
				run.outcome !== null && ownsRun(run, event.ticket)
					? stepRun(run, event)
					: run,
			);
	}

	reply(reply: SessionEffects["reply"]): void {
		if (reply.result === "verdict" && reply.verdict !== "applied")
			this.#refusals = [`${reply.verdict}: ${reply.reason}`, ...this.#refusals];
	}

	keepRuns(runs: SessionEffects["keepRuns"]): void {
		const others = this.#runs.filter(
			(one) => !runs.some((run) => isSame(run, one)),
		);
		this.#runs = [...others, ...runs];
	}

	keepGeneration(ended: SessionEffects["keepGeneration"]): void {
		this.#generations.set(ended.generation, ended);
	}

	keepMessages(fates: SessionEffects["keepMessages"]): void {
		for (const fate of fates) this.#messages.set(fate.message.messageId, fate);
	}

	keepEntry(entry: StoredEntry): void {
		this.#entries = [...this.#entries, entry];
	}

	hideEntries(runs: SessionEffects["hideEntries"]): void {
		this.#entries = this.#entries.map((entry) =>
			runs.some(
				({ generation, runId, attempt }) =>
					entry.generation === generation &&
					entry.runId === runId &&
					entry.attempt === attempt,
			)
				? { ...entry, hidden: true }
				: entry,
		);
	}

	purge({ before }: SessionEffects["purge"]): void {
		this.#refusals = [];
		this.#runs = this.#runs.filter(({ generation }) => generation >= before);
		this.#entries = this.#entries.filter(
			({ generation }) => generation >= before,
		);
		for (const generation of this.#generations.keys())
			if (generation < before) this.#generations.delete(generation);
		for (const [messageId, { message, fate }] of this.#messages)
			if (fate !== "queued" && message.generation < before)
				this.#messages.delete(messageId);
	}

	/** Compares all records of a key. */
	async compare(
		store: StoreReader,
		{ sessionKey, generation }: SessionFacts,
	): Promise<void> {
		const generations = await Promise.all(
			Array.from({ length: generation }, (_, i) =>
				store.generation(sessionKey, i + 1),
			),
		);
		same(
			generations.filter((one) => one !== null),
			[...this.#generations.values()].sort(
				(a, b) => a.generation - b.generation,
			),
			"the archive",
		);
		const { items } = await store.runs(sessionKey, { limit: 1000 });
		same(byName(items), byName(this.#runs), "the records of its runs");
		for (const [messageId, { message, fate, run, reason }] of this.#messages)
			same(
				await store.message(sessionKey, messageId),
				{ ...message, fate, run, reason, kind: "message" },
				`what is kept of message ${messageId}`,
			);
		const transcript = await store.transcript(sessionKey, { limit: 1000 });
		same(
			[...transcript.items].reverse(),
			this.#entries
				.filter(({ hidden }) => !hidden)
				.map(({ hidden: _, attempt: __, ...entry }) => entry),
			"the transcript",
		);
		const refusals = await store.refusals({ sessionKey, limit: 1000 });
		same(
			refusals.items.map(({ verdict, reason }) => `${verdict}: ${reason}`),
			this.#refusals,
			"what is kept of refused reports",
		);
	}
}

const notes: {
	readonly [Type in keyof SessionEffects]?: (
		ledger: Ledger,
		params: SessionEffects[Type],
	) => void;
} = {
	reply: (ledger, reply) => ledger.reply(reply),
	startRun: (ledger, { run, messages }) =>
		ledger.keepMessages(
			messages.map((message) => ({
				message,
				fate: "taken",
				run: ticketOf(run),
				reason: null,
			})),
		),
	keepRuns: (ledger, runs) => ledger.keepRuns(runs),
	keepGeneration: (ledger, ended) => ledger.keepGeneration(ended),
	keepMessages: (ledger, fates) => ledger.keepMessages(fates),
	keepLine: (ledger, messages) =>
		ledger.keepMessages(
			messages.map((message) => ({
				message,
				fate: "queued",
				run: null,
				reason: null,
			})),
		),
	keepEntry: (ledger, entry) => ledger.keepEntry(entry),
	hideEntries: (ledger, runs) => ledger.hideEntries(runs),
	purge: (ledger, purge) => ledger.purge(purge),
};

function isSame(a: RunFacts, b: RunFacts): boolean {
	return (
		a.runId === b.runId &&
		a.generation === b.generation &&
		a.attempt === b.attempt
	);
}

function byName(runs: readonly RunFacts[]): readonly RunFacts[] {
	const nameOf = ({ generation, runId, attempt }: RunFacts) =>
		`${generation} ${runId} ${attempt}`;
	return [...runs].sort((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1));
}
