/** A store's thread that dies of its first commit: within its transaction, or outside of any call once it has answered. */
import { workerData } from "node:worker_threads";
import { Database } from "../../src/sqlite/database.ts";
import type { Death } from "./thread-stores.ts";

const { write } = Database.prototype;

const deaths: Record<Death, () => void> = {
	exits: () => process.exit(3),
	throws: () =>
		setImmediate(() => {
			throw new RangeError("out of luck");
		}),
	"runs out of memory"() {
		const all: unknown[] = [];
		for (;;) all.push(new Array(10_000).fill(all.length));
	},
};

Database.prototype.write = function <Result>(work: () => Result): Result {
	return write.call(this, () => {
		const result = work();
		deaths[workerData.given as Death]();
		return result;
	}) as Result;
};

await import("../../src/sqlite/thread-worker.ts");
