/** Owns the replicas of a host in a test: processes behind one address, which can be killed and cut off, and the history that they write. */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import type { RunTicket } from "turnkeeper";
import { Balancer } from "./balancer.ts";
import type { Server } from "./server.ts";

export interface Noted {
	readonly what: "began" | "told" | "ended" | "killed";
	readonly pid: number;
	readonly at: number;
	readonly ticket?: RunTicket;
	readonly messageIds?: readonly string[];
}

export interface Replica {
	readonly process: ChildProcess;
	readonly port: number;
}

export class Replicas implements AsyncDisposable {
	readonly #server: Server;
	readonly #history: string;
	readonly #options: object;
	readonly #balancer = new Balancer();
	readonly #killed: Noted[] = [];
	readonly all = new Set<Replica>();

	constructor(server: Server, history: string, options: object = {}) {
		this.#server = server;
		this.#history = history;
		this.#options = options;
	}

	/** So many, known to the server. */
	async start(count: number): Promise<void> {
		const uri = await this.#balancer.listen();
		await Promise.all(Array.from({ length: count }, () => this.add()));
		await this.#server.register(uri);
	}

	async add(): Promise<Replica> {
		const child = fork(
			new URL("replica.ts", import.meta.url),
			[this.#server.ingress, this.#history, JSON.stringify(this.#options)],
			{ execArgv: ["--import", "./test/support/own-name.ts"] },
		);
		const [{ port }] = (await once(child, "message")) as [{ port: number }];
		const replica = { process: child, port };
		this.#balancer.add(port);
		this.all.add(replica);
		return replica;
	}

	async kill(replica: Replica): Promise<void> {
		this.all.delete(replica);
		const { pid } = replica.process;
		const exit = once(replica.process, "exit");
		replica.process.kill("SIGKILL");
		await exit;
		this.#balancer.cut(replica.port);
		this.#killed.push({ what: "killed", pid: pid as number, at: Date.now() });
	}

	cut(replica: Replica): void {
		this.#balancer.cut(replica.port);
	}

	mend(replica: Replica): void {
		this.#balancer.add(replica.port);
	}

	/** The one that executes a run. */
	async executing(ticket: RunTicket): Promise<Replica> {
		for (;;) {
			const begun = (await this.history()).find(
				(one) => one.what === "began" && one.ticket?.runId === ticket.runId,
			);
			const found = [...this.all].find(
				({ process: { pid } }) => pid === begun?.pid,
			);
			if (found) return found;
			await new Promise((resolve) => setTimeout(resolve, 10));
		}
	}

	/** What the replicas wrote, and which of them were killed, in order. */
	async history(): Promise<readonly Noted[]> {
		const text = await readFile(this.#history, "utf8").catch(() => "");
		const written: Noted[] = text
			.split("\n")
			.filter((line) => line !== "")
			.map((line) => JSON.parse(line));
		return [...written, ...this.#killed].sort((a, b) => a.at - b.at);
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await Promise.all([...this.all].map((one) => this.kill(one)));
		await this.#balancer[Symbol.asyncDispose]();
	}
}

/** Runs of one session that went on at the same time; those of a process end with it. */
export function overlaps(history: readonly Noted[]): readonly string[] {
	const found: string[] = [];
	const going = new Map<string, Map<string, number>>();
	for (const { what, pid, ticket } of history) {
		if (what === "killed")
			for (const runs of going.values())
				for (const [id, by] of runs) if (by === pid) runs.delete(id);
		if (!ticket || what === "told") continue;
		const { sessionKey, runId, attempt } = ticket;
		const runs = going.get(sessionKey) ?? new Map<string, number>();
		going.set(sessionKey, runs);
		const id = `${runId}#${attempt}`;
		if (what === "ended") runs.delete(id);
		else {
			if (runs.size > 0)
				found.push(
					`${sessionKey}: ${id} began while ${[...runs.keys()]} went on`,
				);
			runs.set(id, pid);
		}
	}
	return found;
}
