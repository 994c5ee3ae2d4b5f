/**
 * A program that opens a store on a thread and then does no more than it is told: `node thread-host.ts FILE ENDING`. With `dispose` it gives
 * the store back, with `leave` it does not, with `commit` it leaves while a commit has no answer yet. It never ends by itself.
 */
import { sqliteStore } from "../../src/sqlite.ts";
import { writeOf } from "../../src/testing/store-conformance/records.ts";

const [file, ending] = process.argv.slice(2);
const store = await sqliteStore(file as string, { thread: true }).open({
	name: "host",
});
console.log("open");
if (ending === "dispose") await store[Symbol.asyncDispose]();
if (ending === "commit")
	void store
		.commit({ sessions: [writeOf("k", 0)], refusals: [] })
		.then(() => console.log("committed"));
