/** Owns the console as hosts open it: a page of this machine that shows a runtime's sessions as they are, and takes a few commands. */
import { checkOptions } from "../arguments.ts";
import { consoleLogger, guarded, type Logger } from "../logger.ts";
import { serveConsole } from "./console-server.ts";
import { type ConsoleRuntime, RuntimeSource } from "./runtime-source.ts";

export type { ConsoleRuntime } from "./runtime-source.ts";

export interface ConsoleOptions {
	/** 0: any that is free. Default 8081. */
	port?: number;
	/** The address that it listens on. Default 127.0.0.1, which nobody else can reach. */
	host?: string;
	logger?: Logger;
}

export interface Console {
	/** To open in a browser; with the token that lets in. */
	readonly url: string;
	/** Ends its pages' connections. The runtime goes on. Idempotent. */
	close(): Promise<void>;
}

/**
 * A page that shows the sessions of a runtime, live: all of them in a table, and of one its chart, runs, archive, refusals, queue and
 * transcript. From it a session can be reset, aborted and deleted, and a waiting message removed. It shows what was said, so it is on this
 * machine alone, behind a random token. Costs nothing while no page is open. May be opened before the runtime starts.
 *
 * @example
 * const { url } = await createConsole(runtime);
 * console.log(url); // open it in a browser
 * @throws INVALID_ARGUMENT; what the system says where the port is taken (EADDRINUSE); an Error where a checkout has not been built
 */
export async function createConsole(
	runtime: ConsoleRuntime,
	options?: ConsoleOptions,
): Promise<Console> {
	const {
		port = 8081,
		host = "127.0.0.1",
		logger = consoleLogger,
	} = checkOptions(options);
	return serveConsole(new RuntimeSource(runtime), {
		port,
		host,
		logger: guarded(logger),
	});
}
