/** Owns the replicas of the host: processes behind one address, which can be killed and cut off, and the history that they write. */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { setTimeout as pause } from "node:timers/promises";
import type { RunTicket } from "turnkeeper";
import { Balancer } from "./balancer.ts";
import type { Noted } from "./replica.ts";

export interface Replica {
	readonly process: ChildProcess;
	readonly port: number;
}

export interface ReplicasOptions {
	/** Where runs reach their sessions. */
	readonly ingress: string;
	/** The file that they write their history into. */
	readonly history: string;
	/** For `sessionServices`, as JSON. */
	readonly services?: object;
	/** For Node. Default: those of this process. */
	readonly execArgv?: readonly string[];
}

export class Replicas implements AsyncDisposable {
	readonly #options: ReplicasOptions;
	readonly #balancer = new Balancer();
	readonly #killed: Noted[] = [];
	readonly all = new Set<Replica>();

	constructor(options: ReplicasOptions) {
		this.#options = options;
	}

	/** So many. Resolves with their address. */
	async start(count: number): Promise<string> {
		const uri = await this.#balancer.listen();
		await Promise.all(Array.from({ length: count }, () => this.add()));
		return uri;
	}

	async add(): Promise<Replica> {
		const {
			ingress,
			history,
			services = {},
			execArgv = process.execArgv,
		} = this.#options;
		const child = fork(
			new URL("replica.ts", import.meta.url),
			[ingress, history, JSON.stringify(services)],
			{ execArgv: [...execArgv] },
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

	/** Nothing passes between it and Restate's calls any more. */
	cut(replica: Replica): void {
		this.#balancer.cut(replica.port);
	}

	mend(replica: Replica): void {
		this.#balancer.add(replica.port);
	}

	/** The one that executes a run, as soon as one does. */
	async executing(ticket: RunTicket): Promise<Replica> {
		for (;;) {
			const begun = (await this.history()).find(
				(one) => one.what === "began" && one.ticket?.runId === ticket.runId,
			);
			const found = [...this.all].find(
				({ process: { pid } }) => pid === begun?.pid,
			);
			if (found) return found;
			await pause(10);
		}
	}

	/** What the replicas wrote, and which of them were killed, in order. */
	async history(): Promise<readonly Noted[]> {
		const text = await readFile(this.#options.history, "utf8").catch(() => "");
		// The last line may be on its way.
		const lines = text.slice(0, text.lastIndexOf("\n") + 1).split("\n");
		const written: Noted[] = lines
			.filter((line) => line !== "")
			.map((line) => JSON.parse(line));
		return [...written, ...this.#killed].sort((a, b) => a.at - b.at);
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await Promise.all([...this.all].map((one) => this.kill(one)));
		await this.#balancer[Symbol.asyncDispose]();
	}
}

/** Runs that go on, by session; those of a process end with it. Where a session has two, `overlapped` is told. */
export function goingOn(
	history: readonly Noted[],
	overlapped: (sessionKey: string, runs: readonly string[]) => void = () => {},
): Map<string, Map<string, number>> {
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
		if (what === "ended") {
			runs.delete(id);
			continue;
		}
		runs.set(id, pid);
		if (runs.size > 1) overlapped(sessionKey, [...runs.keys()]);
	}
	return going;
}
