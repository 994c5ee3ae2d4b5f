/**
 * A replica of the host, as a process of its own: serves the session services, and writes each run's begin and end into a file that all
 * replicas share. A message says how long its run takes, in ms, and whether it heeds its signal.
 */
import { appendFileSync } from "node:fs";
import { createServer } from "node:http2";
import { createEndpointHandler } from "@restatedev/restate-sdk";
import type { RunTicket } from "turnkeeper";
import { sessionServices } from "turnkeeper/restate";

/** What a message asks for. */
export interface Work {
	readonly ms: number;
	readonly heeds: boolean;
}

/** A line of the history. */
export interface Noted {
	readonly what: "began" | "told" | "ended" | "killed";
	readonly pid: number;
	readonly at: number;
	readonly ticket?: RunTicket;
	readonly messageIds?: readonly string[];
}

const [ingress = "", history = "", options = "{}"] = process.argv.slice(2);

function note(
	what: Noted["what"],
	details: Pick<Noted, "messageIds" | "ticket">,
): void {
	const line: Noted = { what, pid: process.pid, at: Date.now(), ...details };
	appendFileSync(history, `${JSON.stringify(line)}\n`);
}

const services = sessionServices<Work, string>({
	ingress,
	...JSON.parse(options),
	run: async ({ ticket, messages, signal }) => {
		const messageIds = messages.map(({ messageId }) => messageId);
		note("began", { ticket, messageIds });
		const { ms, heeds } = messages[0]?.input ?? { ms: 0, heeds: true };
		try {
			await new Promise<void>((resolve, reject) => {
				const timer = setTimeout(resolve, ms);
				signal.addEventListener("abort", () => {
					note("told", { ticket });
					if (!heeds) return;
					clearTimeout(timer);
					reject(signal.reason);
				});
			});
			return `done by ${process.pid}`;
		} finally {
			note("ended", { ticket });
		}
	},
});

const endpoint = createServer(
	createEndpointHandler({ services, logger: () => {} }),
);
endpoint.listen(0, "127.0.0.1", () => {
	const { port } = endpoint.address() as { port: number };
	process.send?.({ port });
});
process.on("disconnect", () => process.exit());
