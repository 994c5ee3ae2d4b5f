/** Owns the command line of the chat in the browser: its options, what is opened and closed in which order, and how an error is said. */
import { parseArgs } from "node:util";
import { TurnkeeperError } from "turnkeeper";
import { createConsole } from "turnkeeper/inspect";
import { sqliteStore } from "turnkeeper/sqlite";
import { createChatHost } from "../chat/host.ts";
import { openAiModel, scriptedModel } from "../chat/model.ts";
import { Feed } from "./feed.ts";
import { createPosts } from "./posts.ts";
import { ChatServer } from "./server.ts";
import { SlowModel } from "./slow-model.ts";

const usage = `usage: npm start -- [--db FILE] [--port N]

  --db FILE   the SQLite file of the sessions; default chat.db
  --port N    the port on 127.0.0.1; default 8080, 0 takes any that is free

Answers come from a scripted model, or from an OpenAI-compatible server if
OPENAI_BASE_URL is set (with OPENAI_MODEL, and OPENAI_API_KEY if it wants one).`;

function readOptions() {
	try {
		const { values } = parseArgs({
			options: {
				db: { type: "string", default: "chat.db" },
				port: { type: "string", default: "8080" },
				help: { type: "boolean", short: "h", default: false },
			},
		});
		if (!/^\d{1,5}$/.test(values.port) || Number(values.port) > 65_535)
			throw new Error(
				`--port is "${values.port}"; it must be a whole number, 0 to 65535`,
			);
		return { ...values, port: Number(values.port) };
	} catch (error) {
		console.error(`${(error as Error).message}\n\n${usage}`);
		process.exit(2);
	}
}

/** In a line: what else there is to it is for hosts that keep logs. */
function warn(_: object, text = ""): void {
	console.error(text);
}

/** Resolves when the program is told to end. */
function told(): Promise<unknown> {
	return new Promise((resolve) => {
		for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
			process.once(signal, resolve);
	});
}

async function serve({ db, port }: { db: string; port: number }) {
	const ended = told();
	const model = new SlowModel(
		process.env.OPENAI_BASE_URL ? openAiModel(process.env) : scriptedModel(),
	);
	const runtime = createChatHost({
		store: sqliteStore(db),
		model,
		logger: { debug() {}, info() {}, warn, error: warn },
		asked: (ticket, text) => feed.asked(ticket, text),
	});
	await using closing = new AsyncDisposableStack();
	closing.defer(() => runtime.close({ graceMs: 1000 }));
	const beside = await createConsole(runtime, { port: 0 });
	closing.defer(() => beside.close());
	const feed = new Feed(runtime, () => ({
		model: model.name,
		isSlow: model.isSlow,
		console: beside.url,
	}));
	await runtime.start();
	const posts = createPosts({
		runtime,
		model,
		switched: () => feed.hostChanged(),
	});
	const server = await ChatServer.listen({ port, feed, posts });
	closing.defer(() => server.close());
	console.log(`Chat     ${server.url}`);
	console.log(`Console  ${beside.url}`);
	console.log(
		`The sessions are in ${db}, answered by ${model.name}. Ctrl-C ends it.`,
	);
	await ended;
}

const { help, ...options } = readOptions();
try {
	if (help) console.log(usage);
	else await serve(options);
} catch (error) {
	// What can be helped is said in a sentence; anything else is a bug and shows where it is.
	if (error instanceof TurnkeeperError)
		console.error(`${error.code}: ${error.message}`);
	else if ((error as NodeJS.ErrnoException).code === "EADDRINUSE")
		console.error(
			`port ${options.port} is taken; --port N names another, --port 0 takes any that is free`,
		);
	else throw error;
	process.exitCode = 1;
}
