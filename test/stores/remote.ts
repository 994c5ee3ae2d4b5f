/** Owns other processes with a store in their hands, and ends them with the test. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { onTestFinished } from "vitest";
import type { Call, Commands, Outcome } from "./remote-owner.ts";

const script = fileURLToPath(new URL("./remote-owner.ts", import.meta.url));

export interface Remote {
	readonly pid: number;
	call<Name extends keyof Commands>(
		name: Name,
		...args: Parameters<Commands[Name]>
	): ReturnType<Commands[Name]>;
	/** kill -9; resolves once the process is gone. */
	kill(): Promise<void>;
}

/** Starts a process. `limit` is a shell command that comes before it, such as `ulimit -f 100`. */
export async function startRemote(limit = "true"): Promise<Remote> {
	const child = spawn(
		"sh",
		["-c", `${limit} && exec "$0" "$1"`, process.execPath, script],
		{ stdio: ["ignore", "inherit", "inherit", "ipc"] },
	);
	const gone = once(child, "exit");
	const kill = async () => {
		child.kill("SIGKILL");
		await gone;
	};
	onTestFinished(kill);
	await Promise.race([
		once(child, "message"),
		gone.then(() => {
			throw new Error("the process ended before it was ready");
		}),
	]);
	let calls = 0;
	return {
		pid: child.pid as number,
		kill,
		call: ((name, ...args) => {
			const n = calls++;
			child.send({ n, name, args } as Call);
			return outcomeOf(child, n);
		}) as Remote["call"],
	};
}

function outcomeOf(child: ChildProcess, n: number): Promise<unknown> {
	return new Promise((resolve, reject) => {
		const ended = () => reject(new Error("the process ended"));
		child.once("exit", ended);
		child.on("message", function listen(outcome: Outcome) {
			if (outcome.n !== n) return;
			child.off("message", listen);
			child.off("exit", ended);
			if (outcome.error) reject(outcome.error);
			else resolve(outcome.value);
		});
	});
}
