/** Owns a look at what a process would die of: rejections that nobody handled, and exceptions that nobody caught. */
import { turns } from "../../src/testing/virtual-clock.ts";

const process: NodeJS.EventEmitter = globalThis.process;
const deaths = ["unhandledRejection", "uncaughtException"];

/** What would have ended the process while `act` ran. */
export async function deathsOf(act: () => Promise<void>): Promise<unknown[]> {
	const seen: unknown[] = [];
	const note = (error: unknown) => seen.push(error);
	const others = deaths.map((name) => process.rawListeners(name));
	for (const name of deaths) process.removeAllListeners(name).on(name, note);
	try {
		await act();
		await turns();
	} finally {
		deaths.forEach((name, i) => {
			process.removeAllListeners(name);
			for (const listener of others[i] ?? [])
				process.on(name, listener as () => void);
		});
	}
	return seen;
}
