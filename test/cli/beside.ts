/** Owns a host in a process of its own that holds a store file while a test looks on. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { onTestFinished } from "vitest";

export interface Owner {
	/** Makes the host write something, and resolves when it has. */
	write(): Promise<void>;
	close(): Promise<void>;
}

export async function startOwner(file: string): Promise<Owner> {
	const program = join(import.meta.dirname, "owner.ts");
	const child = spawn(process.execPath, [program, file], {
		stdio: ["pipe", "pipe", "inherit"],
	});
	onTestFinished(() => {
		child.kill();
	});
	const lines = createInterface({ input: child.stdout })[
		Symbol.asyncIterator
	]();
	const said = await lines.next();
	if (said.value !== "ready") throw new Error("the owner did not start");
	return {
		write: async () => {
			child.stdin.write("write\n");
			await lines.next();
		},
		close: async () => {
			const closed = once(child, "close");
			child.stdin.end();
			await closed;
		},
	};
}
