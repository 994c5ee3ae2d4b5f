/** The proof of a store of one's own: this is all of it. */
import { storeConformance } from "turnkeeper/testing";
import { makeStore } from "./log-store.ts";

await storeConformance("a log of batches", makeStore, {
	// The suite starts processes that load this module, and kills them while they commit.
	module: new URL("./log-store.ts", import.meta.url),
});
