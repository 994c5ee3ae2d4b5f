/** Owns the command line of the terminal chat: its options, which of its two ways it goes, and how an error is said. */
import { parseArgs } from "node:util";
import { TurnkeeperError } from "turnkeeper";
import { sqliteStore } from "turnkeeper/sqlite";
import { openAiModel, scriptedModel } from "../chat/model.ts";
import { chat } from "./chat.ts";
import { play } from "./script.ts";
import { plain } from "./words.ts";

const usage = `usage: npm run start:terminal -- [--db FILE] [--key KEY]

  --db FILE   the SQLite file of the sessions; default chat.db
  --key KEY   the session key of this conversation; default terminal

Answers come from a scripted model, or from an OpenAI-compatible server if
OPENAI_BASE_URL is set (with OPENAI_MODEL, and OPENAI_API_KEY if it wants one).
Where standard input is no terminal, a scripted conversation is played.`;

function readOptions() {
	try {
		return parseArgs({
			options: {
				db: { type: "string", default: "chat.db" },
				key: { type: "string", default: "terminal" },
				help: { type: "boolean", short: "h", default: false },
			},
		}).values;
	} catch (error) {
		console.error(`${plain((error as Error).message, 200)}\n\n${usage}`);
		process.exit(2);
	}
}

const { db, key, help } = readOptions();
try {
	if (help) console.log(usage);
	else if (process.stdin.isTTY && process.stdout.isTTY)
		await chat({
			store: sqliteStore(db),
			file: db,
			sessionKey: key,
			model: process.env.OPENAI_BASE_URL
				? openAiModel(process.env)
				: scriptedModel(),
		});
	else await play();
} catch (error) {
	// What can be helped is said in a sentence; anything else is a bug and shows where it is.
	if (!(error instanceof TurnkeeperError)) throw error;
	console.error(`${error.code}: ${error.message}`);
	process.exitCode = 1;
}
