/**
 * A replica of a host, as a process of its own: serves the session services, and writes each run's begin and end into a file that all replicas
 * share. A message says how long its run takes, in ms, and whether it heeds its signal.
 */
import { appendFileSync } from "node:fs";
import { createServer } from "node:http2";
import { createEndpointHandler } from "@restatedev/restate-sdk";
import { sessionServices } from "turnkeeper/restate";
import { silent } from "../support/host.ts";

const [ingress = "", history = "", options = "{}"] = process.argv.slice(2);

interface Work {
	readonly ms: number;
	readonly heeds: boolean;
}

function note(what: string, details: object): void {
	const line = { what, pid: process.pid, at: Date.now(), ...details };
	appendFileSync(history, `${JSON.stringify(line)}\n`);
}

const services = sessionServices<Work, string>({
	ingress,
	logger: silent,
	graceMs: 1000,
	...JSON.parse(options),
	run: async (run) => {
		const { ticket, messages, signal } = run;
		const messageIds = messages.map(({ messageId }) => messageId);
		note("began", { ticket, messageIds });
		const [first] = messages;
		const { ms, heeds } = first?.input ?? { ms: 0, heeds: true };
		try {
			await new Promise<void>((resolve, reject) => {
				const timer = setTimeout(resolve, ms);
				signal.addEventListener("abort", () => {
					note("told", { ticket, reason: String(signal.reason) });
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
