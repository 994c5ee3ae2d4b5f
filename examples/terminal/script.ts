/**
 * Owns the played conversation: the events that break a host with a Map of runs, in the order in which they break it, on a temporary
 * SQLite file. What it prints of sessions is what the runtime answered. Needs no terminal.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { SessionRow } from "turnkeeper";
import { sqliteStore } from "turnkeeper/sqlite";
import { type ChatRuntime, createChatHost } from "../chat/host.ts";
import { scriptedModel } from "../chat/model.ts";
import { MapHost } from "./map-host.ts";
import { paint } from "./screen.ts";
import { rowLine, runLine, tellWhy } from "./words.ts";

type Row = SessionRow;

const key = "telegram:42";
const model = scriptedModel({ wordMs: 20 });

/** Plays the conversation to its end; the file is gone afterwards. */
export async function play(): Promise<void> {
	const folder = await mkdtemp(join(tmpdir(), "turnkeeper-"));
	const answer = new Answer();
	let runs = 0;
	const runtime = createChatHost({
		store: sqliteStore(join(folder, "chat.db")),
		model,
		// Short ids, so that one can see which is which; r2 is the host's own run.
		ids: {
			sessionId: ({ generation }) => `s${generation}`,
			runId: () => `r${runs + 1}`,
		},
		asked: (_, text) => {
			runs += runs === 0 ? 2 : 1;
			answer.end();
			tell("you", text);
		},
		said: (_, text) => answer.add(text),
	});
	try {
		await runtime.start();
		await playOn(runtime, answer);
	} finally {
		await runtime.close();
		await rm(folder, { recursive: true, force: true });
	}
}

async function playOn(runtime: ChatRuntime, answer: Answer): Promise<void> {
	const row = async () => (await runtime.get(key)) as Row;
	const mapHost = new MapHost();
	const lanes: Lane[] = [];
	const compare = (event: string, now: Row, verdict = "") =>
		lanes.push([event, mapLane(mapHost), ownLane(now) + verdict]);
	print(
		`A conversation on session key ${key}, played on a temporary SQLite file.`,
	);

	title("1. A message is answered.");
	const hello = await runtime.send(key, "hello");
	await hello.settled;
	answer.end();
	tell("row", rowLine(await row()));

	title("2. A long answer streams, and /new comes in the middle of it.");
	tell("you", "tell me a story");
	// The host drives this run itself, as one whose agent is another process does. Its agent does not listen to the signal.
	const run = await runtime.admit(key, { runId: "r2" });
	await run.start();
	mapHost.message(key);
	await beginStory(answer);
	tell("row", rowLine(await row()));
	compare("message", await row());
	tell("you", "/new");
	const resetting = runtime.reset(key, { reason: "/new" });
	mapHost.reset(key);
	const fresh = await runtime.until(key, (now) => now?.generation === 2);
	tell("row", rowLine(fresh as Row));
	compare("/new", fresh as Row);

	title(
		"3. The old run breaks. Its error comes late, with a run id and no more.",
	);
	const error = "socket hang up";
	const report = { runId: "r2", phase: "error", error } as const;
	tell("report", `run r2 failed: ${error}`);
	const late = await runtime.report(report);
	mapHost.error(key, error);
	tell("verdict", `${late.verdict}: ${late.reason}`);
	await resetting;
	tell("row", rowLine(await row()));
	compare("late error", await row(), `, report ${late.verdict}`);
	for (const { generation, runs } of (await runtime.archive(key)).items)
		tell("archive", `generation ${generation}: ${runLine(runs[0] ?? never())}`);
	tell("report", "the same once more");
	const again = await runtime.report(report);
	tell("verdict", `${again.verdict}: ${again.reason}`);

	title(
		"The same three events in a host with a Map and a table, and in this one.",
	);
	print(lanesTable(lanes));
	print(
		"  On the left a session in which nothing has run shows an error not its own.",
	);

	title("4. Two messages at once: one runs, the other waits in the file.");
	const poem = await runtime.send(key, "a poem, please");
	const greeting = await runtime.send(key, "hello again");
	answer.end();
	tell(
		"queue",
		`"hello again" is ${greeting.disposition}, the poem comes first`,
	);
	await Promise.all([poem.settled, greeting.settled]);
	answer.end();
	tell("row", rowLine(await row()));

	title("5. /stop comes while an answer streams.");
	const story = await runtime.send(key, "tell me a story");
	await answer.hears("evening");
	const stopped = await runtime.abort(key, { reason: "/stop" });
	answer.end();
	tell("you", "/stop");
	tell(
		"stop",
		`${stopped.result}; the run is ${(await story.settled).outcome}`,
	);
	tell("row", rowLine(await row()));

	title("6. What happened here, as /why tells it.");
	for (const line of await tellWhy(runtime, key)) print(`  ${line}`);
}

type Lane = readonly [event: string, mapHost: string, own: string];

function mapLane({ rows }: MapHost): string {
	const row = rows.get(key);
	return `${row?.sessionId} ${row?.status}${row?.error ? `: ${row.error}` : ""}`;
}

function ownLane({ sessionId, status, draining }: Row): string {
	return `${sessionId} ${status}${draining > 0 ? `, ${draining} draining` : ""}`;
}

/** @example "  late error  s2 failed: socket hang up   s2 idle, report archived" */
function lanesTable(lanes: readonly Lane[]): string {
	return [["", "a Map and a table", "turnkeeper"] as const, ...lanes]
		.map(([event, mapHost, own]) =>
			`  ${event.padEnd(12)}${mapHost.padEnd(28)}${own}`.trimEnd(),
		)
		.join("\n");
}

/** The beginning of an answer that nobody will hear to its end. */
async function beginStory(answer: Answer): Promise<void> {
	const turns = [{ role: "user", content: "tell me a story" }] as const;
	const { signal } = new AbortController();
	const story = model.answer(turns, { signal, used: () => {} });
	for (let words = 0; words < 9; words++)
		answer.add((await story.next()).value ?? "");
	answer.end();
}

const margin = 10;
const columns = 80;

/** An answer on its way to standard output. */
class Answer {
	#column = 0;
	#isNew = true;
	#awaited: { word: string; heard: () => void } | null = null;

	/** A word at a time, as the model says them. */
	add(text: string): void {
		for (const word of text.match(/\S+/g) ?? []) {
			if (this.#column + 1 + word.length > columns) this.#write("\n", 0);
			if (this.#column > margin) this.#write(" ", this.#column + 1);
			else this.#write(label(this.#isNew ? "bot" : ""), margin);
			this.#write(word, this.#column + word.length);
			this.#isNew = false;
			if (word === this.#awaited?.word) this.#awaited.heard();
		}
		if (text.includes("\n")) this.#write("\n", 0);
	}

	end(): void {
		if (this.#column > 0) this.#write("\n", 0);
		this.#isNew = true;
	}

	/** Resolves when the word has been said. */
	hears(word: string): Promise<void> {
		return new Promise((heard) => {
			this.#awaited = { word, heard };
		});
	}

	#write(text: string, column: number): void {
		process.stdout.write(text);
		this.#column = column;
	}
}

function print(text: string): void {
	process.stdout.write(`${text}\n`);
}

function title(text: string): void {
	print(`\n${paint("bold", text)}`);
}

function label(name: string): string {
	return paint("cyan", `  ${name}`.padEnd(margin));
}

function tell(name: string, text: string): void {
	print(label(name) + text);
}

function never(): never {
	throw new Error("the archive has no run");
}
