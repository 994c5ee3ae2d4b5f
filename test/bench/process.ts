/** Owns a contender's process as the bench sees it: started once, told what to do, one order at a time, and gone in the end. */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import type { Order, Report } from "./child.ts";
import { Absent, type Sample } from "./workload.ts";

/** The package is measured as it ships. */
const shipped = new URL("shipped.ts", import.meta.url).href;

/** How long a process that was closed may take to end by itself. */
const leaveMs = 10_000;

export class ContenderProcess {
	readonly #child: ChildProcess;
	readonly #name: string;

	constructor(name: string, execArgv: readonly string[] = []) {
		this.#name = name;
		this.#child = fork(join(import.meta.dirname, "child.ts"), {
			execArgv: ["--import", shipped, ...execArgv],
			stdio: ["ignore", "inherit", "inherit", "ipc"],
		});
	}

	/** Throws `Absent`, and what went wrong there. */
	async tell(order: Order): Promise<Sample> {
		const report = await this.#ask(order);
		if ("done" in report) return report.done;
		if ("absent" in report) throw new Absent(report.absent);
		throw new Error(`${this.#name}, ${order.order}: ${report.failed}`);
	}

	#ask(order: Order): Promise<Report> {
		return new Promise((resolve, reject) => {
			const child = this.#child;
			const ended = (code: number | null, signal: string | null) => {
				child.off("message", answered);
				reject(
					new Error(
						`${this.#name}: its process ended (${signal ?? code}) before it answered ${order.order}`,
					),
				);
			};
			const answered = (report: Report) => {
				child.off("exit", ended);
				resolve(report);
			};
			if (child.exitCode !== null || child.signalCode !== null) {
				ended(child.exitCode, child.signalCode);
				return;
			}
			child.once("exit", ended);
			child.once("message", answered);
			child.send(order);
		});
	}

	/** It ends by itself, or is ended. */
	async leave(): Promise<void> {
		const child = this.#child;
		if (child.exitCode !== null || child.signalCode !== null) return;
		const gone = once(child, "exit");
		const timer = setTimeout(() => child.kill("SIGKILL"), leaveMs);
		if (child.connected) child.disconnect();
		await gone;
		clearTimeout(timer);
	}
}
