/** Owns a console that is open: its page behind the door, its conversations, and that its source is followed only while there is one. */
import { sessionChart } from "../../machines/chart.ts";
import { readConsolePage } from "./console-page.ts";
import { ConsoleSocket } from "./console-socket.ts";
import type { ConsoleSource } from "./console-source.ts";
import { LocalServer, type LocalServerOptions } from "./local-server.ts";
import { RowChanges } from "./row-changes.ts";

export interface ServedConsole {
	/** With the token. */
	readonly url: string;
	close(): Promise<void>;
}

/** Serves a source, which is closed with it. */
export async function serveConsole(
	source: ConsoleSource,
	options: LocalServerOptions & {
		/** Of the page's files, instead of the package's own. */
		readonly folder?: string | undefined;
	},
): Promise<ServedConsole> {
	const host = { ...source.description, chart: sessionChart() };
	const changes = new RowChanges(source);
	const leaving = new Set<() => void>();
	const server = await LocalServer.listen(
		{
			files: await readConsolePage(options.folder),
			connected: (socket) => {
				const conversation = new ConsoleSocket(socket, source, host);
				changes.join(socket);
				const leave = () => {
					if (!leaving.delete(leave)) return;
					changes.leave(socket);
					conversation.end();
				};
				leaving.add(leave);
				socket.on("close", leave);
			},
		},
		options,
	);
	return {
		url: server.url,
		close: async () => {
			await server.close();
			for (const leave of [...leaving]) leave();
			await source.close();
		},
	};
}
