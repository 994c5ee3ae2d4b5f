/**
 * Owns `turnkeeper why`: what happened to one session, told from what a store file keeps of it. Reads beside the host that owns the
 * file. Tells facts in their order and guesses no reasons.
 */
import {
	type EndedGeneration,
	type RowFacts,
	rowOf,
	shownRow,
} from "../../machines/facts.ts";
import type { JsonValue } from "../../machines/json.ts";
import type { Refusal } from "../../machines/report.ts";
import type { RunRecord } from "../../machines/run.ts";
import type { RunTicket } from "../../machines/ticket.ts";
import { readArchive, readRefusals, readRuns } from "../reader.ts";
import { count, duration, shortId, when } from "../replay/words.ts";
import type { LoadedSession, StoreReader } from "../store.ts";
import { type Command, needDb, readArguments } from "./command.ts";
import { openReader } from "./files.ts";
import { paint, print, printable, printJson } from "./output.ts";
import { absent } from "./sessions.ts";

const help = `usage: turnkeeper why KEY --db FILE [--json]

Tells what happened to a session: its generations and what ended them, its runs with their attempts and parents and what stopped them, which
reports were not applied and why, what it waits for and what waits for it. Reads the store file also while a host owns it.

  KEY         the session key; one that begins with a dash goes after --
  --db FILE   the store file
  --json      one JSON object: {"sessionKey", "session", "sentences", "generations", "runs", "refusals", "waiting", "more"}`;

const mostGenerations = 20;
const mostRuns = 100;
const mostRefusals = 100;

/** Everything there is to tell, newest first as it was read. */
interface Story {
	readonly loaded: LoadedSession;
	readonly generations: readonly EndedGeneration[];
	/** Of the current generation. */
	readonly runs: readonly RunRecord[];
	readonly refusals: readonly Refusal[];
	/** Whether something older was left out. */
	readonly more: boolean;
}

export const whyCommand: Command = {
	summary: "tell what happened to a session",
	help,
	async run(args) {
		const { values, positionals } = readArguments(
			args,
			{ db: { type: "string" }, json: { type: "boolean", default: false } },
			["KEY"],
		);
		const [key = ""] = positionals;
		const file = needDb(values.db);
		await using store = await openReader(file);
		const loaded = await store.load(key);
		if (!loaded || loaded.facts.version === 0)
			throw await absent(store, key, file);
		const story = await read(store, key, loaded);
		const sentences = tell(story);
		if (values.json) printJson(toJson(key, story, sentences));
		else
			print(
				sentences
					.map((sentence, at) =>
						at === 0 ? paint("bold", printable(sentence)) : printable(sentence),
					)
					.join("\n"),
			);
		return 0;
	},
};

async function read(
	store: StoreReader,
	key: string,
	loaded: LoadedSession,
): Promise<Story> {
	const { generation } = loaded.facts;
	const ended = await readArchive<JsonValue>(store, key, {
		limit: mostGenerations,
	});
	const runs = await readRuns(store, key, { generation, limit: mostRuns });
	const refusals = await readRefusals(store, {
		sessionKey: key,
		limit: mostRefusals,
	});
	return {
		loaded,
		generations: ended.items,
		runs: runs.items,
		refusals: refusals.items,
		more: [ended, runs, refusals].some(({ cursor }) => cursor !== null),
	};
}

function toJson(key: string, story: Story, sentences: readonly string[]) {
	const { facts, queue } = story.loaded;
	return {
		sessionKey: key,
		session: shownRow(facts),
		sentences: sentences.map((sentence) => sentence.trim()),
		generations: story.generations,
		runs: story.runs,
		refusals: story.refusals,
		waiting: queue.map(({ messageId, acceptedAt, generation }) => ({
			messageId,
			acceptedAt,
			generation,
		})),
		more: story.more,
	};
}

function tell(story: Story): string[] {
	const { facts, queue } = story.loaded;
	const sentences = [
		headline(facts, story.generations[0]),
		...(story.more
			? [
					`Only the newest are told: ${mostGenerations} generations, ${mostRuns} runs of each, ${mostRefusals} reports.`,
				]
			: []),
	];
	for (const ended of story.generations.toReversed()) {
		sentences.push(generationEnded(ended));
		if (ended.runs.length === 0) sentences.push("  No run.");
		for (const run of ended.runs.toReversed())
			sentences.push(`  ${runSentence(run, "ended")}`);
	}
	if (!facts.hidden) {
		const ids = facts.sessionIds.map(shortId).join(", then ");
		sentences.push(
			`Generation ${facts.generation} (session ${ids}) is the current one.`,
		);
		if (story.runs.length === 0) sentences.push("  No run yet.");
		for (const run of story.runs.toReversed())
			sentences.push(`  ${runSentence(run, placeOf(run, facts))}`);
	}
	if (story.refusals.length > 0) {
		sentences.push(
			`${count(story.refusals.length, "report")} ${story.refusals.length === 1 ? "was" : "were"} not applied:`,
		);
		for (const refusal of story.refusals.toReversed())
			sentences.push(`  ${refusalSentence(refusal)}`);
	}
	if (queue.length > 0) {
		sentences.push(
			`${count(queue.length, "message")} ${queue.length === 1 ? "waits" : "wait"} for a run:`,
		);
		for (const { messageId, acceptedAt, generation, parent } of queue) {
			const where =
				generation === facts.generation
					? ""
					: ` in generation ${generation}, kept since`;
			const from = parent ? `, ${spawnedBy(parent.run)}` : "";
			sentences.push(
				`  Message ${shortId(messageId)}${from}, accepted ${when(acceptedAt)}${where}.`,
			);
		}
	}
	return sentences;
}

function headline(facts: RowFacts, ended: EndedGeneration | undefined): string {
	const key = JSON.stringify(facts.sessionKey);
	if (facts.hidden) {
		const next = `the next message or run opens generation ${facts.generation}`;
		return ended
			? `Session ${key} was deleted ${when(ended.endedAt)}; ${next}.`
			: `Session ${key} was deleted and its history erased; ${next}.`;
	}
	const { status, activeRun, waits, lastError, draining, queued } =
		rowOf(facts);
	const parts = [
		`Session ${key} is ${status} in generation ${facts.generation}`,
	];
	if (activeRun) parts.push(`run ${shortId(activeRun.runId)} is live`);
	if (waits.length > 0)
		parts.push(`it waits for an answer to ${waits.map(shown).join(", ")}`);
	if (lastError !== null)
		parts.push(`its last run failed with ${shown(lastError)}`);
	if (draining > 0)
		parts.push(
			`${count(draining, "run")} of older generations, told to stop, ${draining === 1 ? "has" : "have"} not settled`,
		);
	if (facts.closing.length > 0)
		parts.push(
			`its host has not finished with generation ${listed(facts.closing.map(({ generation }) => `${generation}`))} (onGenerationEnded)`,
		);
	if (queued > 0) parts.push(`${count(queued, "message")} queued`);
	return `${parts.join("; ")}. Last changed ${when(facts.updatedAt)}.`;
}

function generationEnded(ended: EndedGeneration): string {
	const ids = ended.sessionIds.map(shortId).join(", then ");
	const reason = ended.reason === null ? "" : ` (${ended.reason})`;
	return `Generation ${ended.generation} (session ${ids}) was ended by ${enders[ended.endedBy]}${reason} ${when(ended.endedAt)}.`;
}

const enders = {
	reset: "a reset",
	expiry: "its expiry",
	delete: "a delete",
} as const satisfies Record<EndedGeneration["endedBy"], string>;

const stops = {
	reset: "by reset",
	expiry: "by expiry",
	delete: "by delete",
	abort: "by abort",
	interrupt: "by a newer message",
	timeout: "by its timeout",
	shutdown: "by shutdown",
	parent: "with its parent",
} as const satisfies Record<NonNullable<RunRecord["stoppedBy"]>, string>;

const ends = {
	completed: "completed",
	failed: "failed",
	aborted: "was aborted",
	timeout: "timed out",
	interrupted: "was interrupted",
	abandoned: "was abandoned",
} as const satisfies Record<NonNullable<RunRecord["outcome"]>, string>;

/** Behind the time that it took. */
function becauseOf({ outcome, stoppedBy }: RunRecord): string {
	if (outcome === "abandoned")
		return ", because it had not settled in its grace period";
	return outcome === "interrupted" && stoppedBy === null
		? ", because its host closed, died or fell silent"
		: "";
}

/** The live run, one that died and is to be tried again, another of the current generation, or one of a generation that ended. */
type Place = "live" | "retried" | "current" | "ended";

function placeOf(run: RunRecord, facts: RowFacts): Place {
	const isThis = (one: RowFacts["run"]) =>
		one?.runId === run.runId && one.attempt === run.attempt;
	if (isThis(facts.run)) return "live";
	return facts.retries.some(isThis) ? "retried" : "current";
}

function spawnedBy({ runId, sessionKey }: RunTicket): string {
	return `spawned by run ${shortId(runId)} of session ${JSON.stringify(sessionKey)}`;
}

function runSentence(run: RunRecord, place: Place): string {
	const { outcome, startedAt, endedAt, stoppedBy, error } = run;
	const attempt = run.attempt > 1 ? `, attempt ${run.attempt},` : "";
	const name = `Run ${shortId(run.runId)}${attempt}`;
	const parts: string[] = [];
	if (startedAt !== null) parts.push(`started ${when(startedAt)}`);
	else if (place === "live")
		parts.push("is live", "has not reported its start");
	else if (stoppedBy !== null) parts.push("has not reported its start");
	else
		parts.push(
			place === "ended"
				? "was reserved and never started"
				: "was reserved and has not started",
		);
	if (run.parent !== null) parts.push(`was ${spawnedBy(run.parent)}`);
	// What timed out was told so.
	if (stoppedBy !== null && !(stoppedBy === "timeout" && outcome === "timeout"))
		parts.push(`was told to stop ${stops[stoppedBy]}`);
	if (outcome === null) {
		if (startedAt !== null || stoppedBy !== null) parts.push("has not settled");
	} else {
		const took =
			startedAt === null || endedAt === null
				? ""
				: ` after ${duration(endedAt - startedAt)}`;
		parts.push(`${ends[outcome]}${took}${becauseOf(run)}`);
	}
	const said = error === null ? "" : `: ${shown(error)}`;
	const next = place === "retried" ? "; it is to be tried again" : "";
	return `${name} ${listed(parts)}${said}${next}${usageOf(run)}.`;
}

function usageOf({ inputTokens, outputTokens }: RunRecord): string {
	return inputTokens + outputTokens === 0
		? ""
		: ` (${inputTokens} tokens in, ${outputTokens} out)`;
}

const reports = {
	start: "a start",
	progress: "progress",
	end: "an end",
	error: "an error",
} as const satisfies Record<Refusal["report"]["phase"], string>;

const fates = {
	archived: "came late",
	duplicate: "was a duplicate",
	unknown: "was about a run that nobody knows",
	refused: "was refused",
} as const satisfies Record<Refusal["verdict"], string>;

function refusalSentence({ at, verdict, reason, report }: Refusal): string {
	// A malformed report may be anything.
	const { phase, runId } = (report ?? {}) as {
		phase?: unknown;
		runId?: unknown;
	};
	const what =
		typeof phase === "string" && Object.hasOwn(reports, phase)
			? reports[phase as keyof typeof reports]
			: "a malformed report";
	if (typeof runId !== "string")
		return `${when(at)}: ${what} ${fates[verdict]}: ${reason}.`;
	const id = shortId(runId);
	const because = reason.replaceAll(runId, id);
	return `${when(at)}: ${what} of run ${id} ${fates[verdict]}: ${because}.`;
}

function listed(parts: readonly string[]): string {
	return parts.length < 2
		? parts.join("")
		: `${parts.slice(0, -1).join(", ")} and ${parts.at(-1)}`;
}

/** Somebody else's text, in quotes and at most a line of it. */
function shown(text: string): string {
	const line = JSON.stringify(text);
	return line.length > 200 ? `${line.slice(0, 199)}…"` : line;
}
