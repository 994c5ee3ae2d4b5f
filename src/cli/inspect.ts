/** Owns `turnkeeper inspect`: the console of a store file, beside the host that owns it. Changes nothing in it. */
import { type ServedConsole, serveConsole } from "../inspect/console-server.ts";
import { StoreSource } from "../inspect/store-source.ts";
import type { Logger } from "../logger.ts";
import {
	type Command,
	CommandError,
	needDb,
	readArguments,
	UsageError,
} from "./command.ts";
import { openReader } from "./files.ts";
import { complain, print, printJson } from "./output.ts";

const defaultPort = 8081;
const defaultHost = "127.0.0.1";

const help = `usage: turnkeeper inspect [--port N] [--host HOST] --db FILE [--json]

Serves a page that shows the sessions of a store file as they change, also while a host owns it: all of them, and of one its chart, runs,
archive, refusals, queue and transcript. Only reads; the console that a host opens itself (createConsole) also takes commands. The page shows
what was said, so it is on this machine alone, behind a random token, unless --host says otherwise. Ctrl-C ends it.

  --port N      ${defaultPort} unless told; 0: any that is free
  --host HOST   the address to listen on; ${defaultHost} unless told
  --db FILE     the store file
  --json        one JSON object: {"url"}`;

export const inspectCommand: Command = {
	summary: "show the sessions of a store file in a browser, live",
	help,
	async run(args) {
		const { values } = readArguments(
			args,
			{
				db: { type: "string" },
				port: { type: "string" },
				host: { type: "string", default: defaultHost },
				json: { type: "boolean", default: false },
			},
			[],
		);
		const file = needDb(values.db);
		const port = portOf(values.port);
		if (values.host === "")
			throw new UsageError("--host is empty; it must be an address");
		const { url, close } = await serve(file, port, values.host);
		const told = ended();
		if (values.json) printJson({ url });
		else print(`${url}\n${file} is only read; Ctrl-C ends this`);
		await told;
		await close();
		return 0;
	},
};

const logger: Logger = {
	debug() {},
	info() {},
	warn: (_, message) => complain(message ?? ""),
	error: (_, message) => complain(message ?? ""),
};

async function serve(
	file: string,
	port: number,
	host: string,
): Promise<ServedConsole> {
	const source = new StoreSource(await openReader(file), file, logger);
	try {
		return await serveConsole(source, { port, host, logger });
	} catch (error) {
		await source.close();
		throw (error as NodeJS.ErrnoException).code === "EADDRINUSE"
			? new CommandError(
					`port ${port} of ${host} is taken; --port 0 takes one that is free`,
					{ cause: error },
				)
			: error;
	}
}

/** Resolves when somebody wants it to end. */
function ended(): Promise<void> {
	return new Promise((resolve) => {
		for (const signal of ["SIGINT", "SIGTERM"] as const)
			process.once(signal, () => resolve());
	});
}

function portOf(value: string | undefined): number {
	if (value === undefined) return defaultPort;
	const port = Number(value);
	if (/^\d+$/.test(value) && port <= 65_535) return port;
	throw new UsageError(
		`--port is ${JSON.stringify(value)}; it must be a whole number, 0 to 65535`,
	);
}
