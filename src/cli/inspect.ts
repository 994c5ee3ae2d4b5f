/** Owns `turnkeeper inspect`: the console on a store file, beside the host that owns it. Reads, and takes no command. */
import { basename } from "node:path";
import { serveConsole } from "../inspect/console.ts";
import { StoreSource } from "../inspect/store-source.ts";
import { consoleLogger } from "../logger.ts";
import {
	type Command,
	CommandError,
	needDb,
	readArguments,
	UsageError,
} from "./command.ts";
import { openReader } from "./files.ts";
import { print, printJson } from "./output.ts";

const defaultPort = 8081;

const help = `usage: turnkeeper inspect --db FILE [--port N] [--host HOST] [--json]

Serves the console on a store file, also while a host owns it: its sessions, and of each its statechart, its generations with their runs and
late reports, its queue and its transcript. The page is on this machine alone, behind a token in the address that is printed. It only
reads: commands are taken where the sessions run, by createConsole of turnkeeper/inspect. Ctrl-C ends it.

  --db FILE    the store file
  --port N     the port; 0 for any that is free; ${defaultPort} unless told
  --host HOST  the address to listen on; 127.0.0.1 unless told, which nobody else can reach
  --json       one JSON object: {"url"}`;

export const inspectCommand: Command = {
	summary: "show a store file in the browser",
	help,
	async run(args) {
		const { values } = readArguments(
			args,
			{
				db: { type: "string" },
				port: { type: "string" },
				host: { type: "string", default: "127.0.0.1" },
				json: { type: "boolean", default: false },
			},
			[],
		);
		const file = needDb(values.db);
		const port = portOf(values.port);
		const { host } = values;
		await using store = await openReader(file);
		const source = new StoreSource(store, basename(file), consoleLogger);
		const shown = await serveConsole(source, { port, host }).catch((error) => {
			throw listenError(error, host, port);
		});
		if (values.json) printJson({ url: shown.url });
		else print(`Open ${shown.url}\nIt only reads. Ctrl-C ends it.`);
		await new Promise<void>((resolve) => {
			process.once("SIGINT", () => resolve());
			process.once("SIGTERM", () => resolve());
		});
		await shown.close();
		return 0;
	},
};

function portOf(value: string | undefined): number {
	if (value === undefined) return defaultPort;
	if (/^\d{1,5}$/.test(value) && Number(value) <= 65_535) return Number(value);
	throw new UsageError(
		`--port is ${JSON.stringify(value)}; it must be a whole number, 0 to 65535`,
	);
}

function listenError(error: unknown, host: string, port: number): unknown {
	const { code } = error as NodeJS.ErrnoException;
	if (code === "EADDRINUSE")
		return new CommandError(
			`port ${port} is taken; name another with --port, or 0 for any that is free`,
			{ cause: error },
		);
	if (code === "EADDRNOTAVAIL" || code === "ENOTFOUND" || code === "EACCES")
		return new CommandError(
			`cannot listen on ${host}, port ${port}: ${(error as Error).message}`,
			{ cause: error },
		);
	return error;
}
