/**
 * Owns what hosts on one file were told over all their lives, and compares it with the file: what was answered must be there, what must
 * never be is not. Reads the file; never writes to it.
 */
import { readFileSync } from "node:fs";
import { isDeepStrictEqual } from "node:util";
import type { RunFacts, StoreReader, TranscriptEntry } from "turnkeeper";
import { UnreadableSession } from "turnkeeper";
import type { SessionFacts } from "turnkeeper/machines";
import {
	type Call,
	type Carried,
	familyOf,
	maxAttempts,
	type Said,
	type SaidRun,
} from "./testimony.ts";

type Of<Kind extends Said["said"]> = Extract<Said, { said: Kind }>;

interface Session {
	readonly facts: Omit<SessionFacts, "queue">;
	readonly queue: readonly string[];
	/** Of all generations, live ones included, the newest first. */
	readonly runs: readonly RunFacts[];
	/** The oldest first. */
	readonly entries: readonly TranscriptEntry[];
}

const idOf = ({ runId, attempt }: Pick<SaidRun, "runId" | "attempt">) =>
	`${runId} attempt ${attempt}`;

export class Witness {
	readonly #sideLog: string;
	readonly #heard: { [Kind in Said["said"]]?: Of<Kind>[] } = {};
	/** Attempts that were live in a process that was killed, by `idOf`; true once they may have been put in line again. */
	readonly #died = new Map<string, boolean>();
	/** Managed runs that the file says are live, before a life begins. */
	#live = new Set<string>();
	readonly #generations = new Map<string, number>();
	/** Which run took a message, as it was ever told or found. */
	readonly #takers = new Map<string, string>();
	#violations: string[] = [];

	constructor(sideLog: string) {
		this.#sideLog = sideLog;
	}

	/** All that was said of a kind. */
	all<Kind extends Said["said"]>(kind: Kind): readonly Of<Kind>[] {
		return this.#heard[kind] ?? [];
	}

	/** Runs of the host that were admitted and have not been told to have ended. */
	get leased(): readonly SaidRun[] {
		const ended = new Set(this.all("ended").map(({ run }) => idOf(run)));
		return this.all("admitted")
			.map(({ run }) => run)
			.filter((run) => !ended.has(idOf(run)));
	}

	/** Takes a life's testimony. Answers what is wrong with it alone. */
	hear(
		testimony: readonly Said[],
		recovery: "settle" | "retry",
	): readonly string[] {
		this.#violations = [];
		if (recovery === "retry")
			for (const died of this.#died.keys()) this.#died.set(died, true);
		for (const said of testimony) {
			const known = this.#heard as Record<string, Said[]>;
			known[said.said] ??= [];
			known[said.said]?.push(said);
			if (said.said === "wrong") this.#violations.push(said.what);
			if (said.said === "booted")
				for (const run of said.running)
					if (this.#live.has(idOf(run)))
						this.#wrong(
							`after boot, ${run.sessionKey} says that ${idOf(run)} runs, which died with its process`,
						);
		}
		return this.#violations;
	}

	/** Compares all that was heard with the file. `settled`: nothing may be under way in it. */
	async check(
		reader: StoreReader,
		keys: readonly string[],
		settled: boolean,
	): Promise<readonly string[]> {
		this.#violations = [];
		const live = new Set<string>();
		this.#checkExecutions();
		this.#checkDeliveries();
		this.#checkAnswers();
		for (const key of keys) {
			const session = await this.#read(reader, key);
			if (!session) continue;
			const { run } = session.facts;
			for (const one of [run, ...session.facts.retries])
				if (one?.driver === "managed") {
					live.add(idOf(one));
					this.#died.set(idOf(one), this.#died.get(idOf(one)) ?? false);
				}
			for (const one of session.facts.draining)
				this.#died.set(idOf(one.run), this.#died.get(idOf(one.run)) ?? false);
			this.#checkRuns(session);
			this.#checkTranscript(session);
			if (settled) this.#checkSettled(session);
			await this.#checkMessages(reader, session, settled);
			await this.#checkResets(reader, session);
		}
		if (settled) {
			const { items } = await reader.list({
				status: ["running", "waiting", "resetting"],
				limit: 1000,
			});
			for (const { sessionKey } of items)
				this.#wrong(`${sessionKey} is under way although all has settled`);
		}
		this.#live = live;
		return this.#violations;
	}

	#wrong(what: string): void {
		this.#violations.push(what);
	}

	#began(sessionKey: string, ...calls: readonly Call[]): boolean {
		return this.all("begins").some(
			(one) => one.sessionKey === sessionKey && calls.includes(one.call),
		);
	}

	/** Whether records of that generation may have been erased. */
	#mayBeErased({ facts }: Session, generation: number): boolean {
		return (
			generation < facts.generation &&
			familyOf(facts.sessionKey) === "purged" &&
			this.#began(facts.sessionKey, "delete")
		);
	}

	async #read(reader: StoreReader, key: string): Promise<Session | null> {
		try {
			const loaded = await reader.load(key);
			if (!loaded) {
				const known = this.all("accepted").find(
					(one) => one.sessionKey === key,
				);
				if (known)
					this.#wrong(`${key} has no row, but took ${known.messageId}`);
				return null;
			}
			const { facts, queue } = loaded;
			const kept = await all((cursor) =>
				reader.runs(key, { limit: 1000, cursor }),
			);
			const entries = await all((cursor) =>
				reader.transcript(key, { limit: 1000, cursor }),
			);
			const open = [
				...(facts.run ? [facts.run] : []),
				...facts.reservations,
				...facts.draining.map(({ run }) => run),
				...facts.retries,
			];
			const ids = new Set(open.map(idOf));
			return {
				facts,
				queue: queue.map(({ messageId }) => messageId),
				runs: [...open, ...kept.filter((run) => !ids.has(idOf(run)))],
				entries: entries.reverse(),
			};
		} catch (error) {
			if (!(error instanceof UnreadableSession)) throw error;
			this.#wrong(`${key} cannot be read: ${error.cause}`);
			return null;
		}
	}

	/** No attempt begins twice, no message is taken by two runs, nothing is tried too often or after an abort that was answered. */
	#checkExecutions(): void {
		const begun = new Set<string>();
		for (const { run, messageIds } of this.all("executing")) {
			if (begun.has(idOf(run))) this.#wrong(`${idOf(run)} was executed twice`);
			begun.add(idOf(run));
			if (run.attempt > maxAttempts)
				this.#wrong(`${idOf(run)} is one more than may be`);
			for (const id of messageIds) this.#take(run, id);
		}
		for (const { run, messageId } of this.all("steered"))
			this.#take(run, messageId);
		for (const { runs } of this.all("aborted"))
			for (const run of runs)
				if (begun.has(idOf({ ...run, attempt: run.attempt + 1 })))
					this.#wrong(`${idOf(run)} was aborted, and tried again`);
	}

	#take(
		{ sessionKey, runId }: Pick<SaidRun, "sessionKey" | "runId">,
		messageId: string,
	): void {
		const id = `${messageId} on ${sessionKey}`;
		const taker = this.#takers.get(id);
		if (taker !== undefined && taker !== runId)
			this.#wrong(`${id} was taken by two runs, ${taker} and ${runId}`);
		this.#takers.set(id, runId);
	}

	/** Once `deliver` came back, the effect is never carried out again, and every attempt gets the same. */
	#checkDeliveries(): void {
		const lines: readonly (Carried & { idempotencyKey: string })[] =
			readFileSync(this.#sideLog, "utf8")
				.split("\n")
				.filter((line) => line !== "")
				.map((line) => JSON.parse(line));
		const last = new Map<string, Carried>();
		const counts = new Map<string, number>();
		for (const { idempotencyKey, life, attempt } of lines) {
			last.set(idempotencyKey, { life, attempt });
			const id = `${idempotencyKey} in life ${life} by attempt ${attempt}`;
			counts.set(id, (counts.get(id) ?? 0) + 1);
		}
		for (const [id, count] of counts)
			if (count > 1)
				this.#wrong(`delivery ${id} was carried out ${count} times`);
		for (const { run, idempotencyKey, carried } of this.all("delivered"))
			if (!isDeepStrictEqual(last.get(idempotencyKey), carried))
				this.#wrong(
					`the delivery ${idempotencyKey} of ${idOf(run)} came back as done by ${JSON.stringify(carried)}, and was last done by ${JSON.stringify(last.get(idempotencyKey))}`,
				);
	}

	/** A wait has one answer, whoever asks, in whichever attempt. */
	#checkAnswers(): void {
		const answers = new Map<string, unknown>();
		for (const { run, name, value } of [
			...this.all("resumed"),
			...this.all("answered"),
		]) {
			const id = `${name} of ${run.runId}`;
			if (answers.has(id) && answers.get(id) !== value)
				this.#wrong(`${id} was answered ${answers.get(id)}, and then ${value}`);
			answers.set(id, value);
		}
	}

	#checkRuns({ facts, runs }: Session): void {
		const { sessionKey } = facts;
		const seen = new Set<string>();
		for (const run of runs) {
			if (seen.has(idOf(run))) this.#wrong(`${idOf(run)} is there twice`);
			seen.add(idOf(run));
			if (run.attempt > maxAttempts)
				this.#wrong(`${idOf(run)} is one more than may be`);
			for (const id of run.messageIds) this.#take(run, id);
		}
		const byId = new Map(runs.map((run) => [idOf(run), run]));
		if (facts.run && facts.run.generation !== facts.generation)
			this.#wrong(
				`${sessionKey} is in generation ${facts.generation}, its live run in ${facts.run.generation}`,
			);
		for (const { run } of this.all("ended")) {
			if (run.sessionKey !== sessionKey) continue;
			const found = byId.get(idOf(run));
			// An end that comes after a stop settles the run as the stop says.
			const wasStopped = found?.stop && found.outcome === "aborted";
			if (found?.outcome !== "completed" && !wasStopped)
				this.#wrong(
					`${idOf(run)} of ${sessionKey} was ended, and has the outcome ${found?.outcome}`,
				);
		}
		for (const { run } of this.all("admitted")) {
			if (run.sessionKey !== sessionKey) continue;
			const found = byId.get(idOf(run));
			if (!found) this.#wrong(`${idOf(run)} of ${sessionKey} is not there`);
			else if (
				found.outcome === "interrupted" &&
				!this.#began(sessionKey, "reset", "abort")
			)
				this.#wrong(
					`${idOf(run)} of ${sessionKey} has a lease that is not over, and is interrupted`,
				);
		}
		for (const { runs: aborted } of this.all("aborted"))
			for (const run of aborted) {
				if (run.sessionKey !== sessionKey) continue;
				const found = byId.get(idOf(run));
				const isGone =
					!found && this.#mayBeErased({ facts } as Session, run.generation);
				if (!isGone && !found?.outcome)
					this.#wrong(
						`${idOf(run)} of ${sessionKey} was aborted, and has not settled`,
					);
			}
	}

	/** What was appended is there, in order; each entry in the generation of the run that appended it. */
	#checkTranscript(session: Session): void {
		const { facts, entries, runs } = session;
		const { sessionKey } = facts;
		const shown = new Map<number, number>();
		for (const [place, entry] of entries.entries()) {
			const own = entry.entry as unknown as SaidRun & { n: number };
			const { n } = own;
			if (shown.has(n)) this.#wrong(`${sessionKey} has the entry ${n} twice`);
			shown.set(n, place);
			if (own.generation !== entry.generation || own.runId !== entry.runId)
				this.#wrong(
					`${sessionKey} has an entry of ${idOf(own)} in generation ${own.generation} under ${entry.runId} in generation ${entry.generation}`,
				);
		}
		const takenBack = new Set(
			runs.filter((run) => run.takenBack).map(({ runId }) => runId),
		);
		let last = -1;
		for (const { run, n } of this.all("appended")) {
			if (run.sessionKey !== sessionKey) continue;
			const place = shown.get(n);
			if (place === undefined) {
				const isHidden =
					takenBack.has(run.runId) || this.#died.get(idOf(run)) === true;
				if (!isHidden && !this.#mayBeErased(session, run.generation))
					this.#wrong(
						`${sessionKey} has lost the entry ${n} of ${idOf(run)} in generation ${run.generation}`,
					);
				continue;
			}
			const { generation, seq } = entries[place] as TranscriptEntry;
			const before = entries[last];
			if (before?.generation === generation && seq < before.seq)
				this.#wrong(`${sessionKey} has the entry ${n} before an older one`);
			last = place;
		}
	}

	#checkSettled({ facts, queue, runs }: Session): void {
		const open = runs.filter(({ outcome }) => outcome === null).map(idOf);
		if (open.length > 0)
			this.#wrong(`${facts.sessionKey} has not settled ${open.join(", ")}`);
		if (queue.length > 0)
			this.#wrong(`in ${facts.sessionKey} there wait ${queue.join(", ")}`);
	}

	async #checkMessages(
		reader: StoreReader,
		session: Session,
		settled: boolean,
	): Promise<void> {
		const { facts, queue, runs } = session;
		const { sessionKey } = facts;
		const line = new Set(queue);
		const isPlain = ["plain", "host"].includes(familyOf(sessionKey));
		for (const one of this.all("accepted")) {
			if (one.sessionKey !== sessionKey) continue;
			const { messageId } = one;
			if (facts.version < one.version)
				this.#wrong(
					`${sessionKey} is at version ${facts.version}, and was at ${one.version} when it took ${messageId}`,
				);
			const found = await reader.message(sessionKey, messageId);
			if (!found) {
				if (!this.#mayBeErased(session, one.generation))
					this.#wrong(
						`${messageId}, accepted on ${sessionKey} in generation ${one.generation}, is lost`,
					);
				continue;
			}
			if (line.has(messageId) !== (found.fate === "queued"))
				this.#wrong(
					`${messageId} on ${sessionKey} is ${found.fate}, and ${line.has(messageId) ? "waits" : "waits nowhere"}`,
				);
			// What a run took ends with that run, also with one that died and was to be tried again.
			const endedWithRun =
				this.#takers.has(`${messageId} on ${sessionKey}`) &&
				this.#began(sessionKey, "reset", "abort");
			if (found.fate === "removed" && isPlain && !endedWithRun)
				this.#wrong(
					`${messageId} on ${sessionKey} was removed (${found.reason}), which nobody asked for`,
				);
			if (found.fate !== "taken") continue;
			const taker = runs.filter(({ runId }) => runId === found.run?.runId);
			const isErased = this.#mayBeErased(session, found.run?.generation ?? 0);
			if (taker.length === 0 && !isErased)
				this.#wrong(
					`${messageId} on ${sessionKey} was taken by ${found.run?.runId}, which is not there`,
				);
			if (settled && taker.some(({ outcome }) => outcome === null))
				this.#wrong(`${messageId} on ${sessionKey} has no outcome`);
		}
		for (const { sessionKey: key, messageId } of this.all("refused"))
			if (key === sessionKey && (await reader.message(key, messageId)))
				this.#wrong(`${messageId} was refused on ${key}, and is there`);
		for (const { sessionKey: key, messageId } of this.all("removed")) {
			if (key !== sessionKey) continue;
			const found = await reader.message(key, messageId);
			if (found && found.fate !== "removed")
				this.#wrong(
					`${messageId} was removed from ${key}, and is ${found.fate}`,
				);
		}
	}

	async #checkResets(reader: StoreReader, session: Session): Promise<void> {
		const { facts } = session;
		const { sessionKey, generation } = facts;
		const known = this.#generations.get(sessionKey) ?? 0;
		if (generation < known)
			this.#wrong(
				`${sessionKey} went back from generation ${known} to ${generation}`,
			);
		this.#generations.set(sessionKey, generation);
		for (const one of this.all("reset")) {
			if (one.sessionKey !== sessionKey) continue;
			if (generation < one.generation || facts.version < one.version)
				this.#wrong(
					`${sessionKey} is in generation ${generation} at version ${facts.version}; the reset ${one.messageId} had opened ${one.generation} at ${one.version}`,
				);
			const ended = await reader.message(sessionKey, one.messageId);
			if (
				ended?.kind !== "reset" &&
				!this.#mayBeErased(session, one.generation - 1)
			)
				this.#wrong(`the reset ${one.messageId} of ${sessionKey} is not known`);
		}
		for (let old = 1; old < generation; old++)
			if (
				!this.#mayBeErased(session, old) &&
				!(await reader.generation(sessionKey, old))
			)
				this.#wrong(`${sessionKey} has nothing of its generation ${old}`);
	}
}

async function all<Item>(
	page: (
		cursor: string | undefined,
	) => Promise<{ items: readonly Item[]; cursor: string | null }>,
): Promise<Item[]> {
	const items: Item[] = [];
	for (let cursor: string | null | undefined; cursor !== null; ) {
		const next = await page(cursor);
		items.push(...next.items);
		cursor = next.cursor;
	}
	return items;
}
