/**
 * Owns a disk whose fsync is slow: loaded into a process before anything else (`node --import`), and so into its threads, it holds up
 * the thread that commits, behind each commit.
 */
import { DatabaseSync } from "node:sqlite";
import { slowFsyncMs } from "./slow.ts";

const never = new Int32Array(new SharedArrayBuffer(4));
const isCommit = (sql: string) => /^\s*COMMIT\b/i.test(sql);

function held<Args extends unknown[], Result>(
	act: (...args: Args) => Result,
): (...args: Args) => Result {
	return (...args) => {
		const result = act(...args);
		Atomics.wait(never, 0, 0, slowFsyncMs);
		return result;
	};
}

const { prepare, exec } = DatabaseSync.prototype;

DatabaseSync.prototype.prepare = function (sql, ...rest) {
	const statement = prepare.call(this, sql, ...rest);
	if (isCommit(sql))
		statement.run = held(statement.run.bind(statement)) as typeof statement.run;
	return statement;
};

DatabaseSync.prototype.exec = function (sql) {
	const act = exec.bind(this);
	return (isCommit(sql) ? held(act) : act)(sql);
};
