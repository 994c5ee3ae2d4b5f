/** Owns the console: its page, served to this machine alone, and what is behind it. Costs nothing while no page is open. */
import { checkOptions } from "../arguments.ts";
import { consoleLogger, guarded, type Logger } from "../logger.ts";
import { ConsoleClient } from "./console-client.ts";
import { consoleFiles } from "./console-page.ts";
import type { ConsoleSource } from "./console-source.ts";
import { LocalServer } from "./local-server.ts";
import { RuntimeSource, type ShownRuntime } from "./runtime-source.ts";

export interface ConsoleOptions {
	/** 0: any that is free. Default 8081. */
	port?: number;
	/** The address that it listens on. Default 127.0.0.1, which nobody else can reach. */
	host?: string;
	logger?: Logger;
}

export interface Console {
	/** To open in a browser; with the token that lets in. `#/session/` and an encoded session key behind it leads to that session. */
	readonly url: string;
	close(): Promise<void>;
}

/**
 * Shows the sessions of a runtime in a browser, with all that they hold: inputs, transcripts, errors. The page works offline, is on this
 * machine alone, behind a random token, and takes commands (reset, abort, delete, remove from the queue).
 *
 * @example
 * const console = await createConsole(runtime);
 * logger.info({}, `the console is at ${console.url}`);
 * @throws INVALID_ARGUMENT; what the system says where the port is taken (EADDRINUSE)
 */
export async function createConsole(
	runtime: ShownRuntime,
	given?: ConsoleOptions,
): Promise<Console> {
	return serveConsole(new RuntimeSource(runtime), given);
}

/** The console of whatever can be looked at. */
export async function serveConsole(
	source: ConsoleSource,
	given?: ConsoleOptions,
): Promise<Console> {
	const {
		port = 8081,
		host = "127.0.0.1",
		logger = consoleLogger,
	} = checkOptions(given);
	const server = await LocalServer.listen(
		{
			files: await consoleFiles(),
			connected: (socket) => new ConsoleClient(socket, source),
		},
		{ port, host, logger: guarded(logger) },
	);
	return { url: server.url, close: () => server.close() };
}
