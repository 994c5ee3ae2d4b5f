/** What every store must do, asked of each store that comes with the package. */
import { memoryStore } from "turnkeeper/memory";
import { storeConformance } from "turnkeeper/testing";
import { makeStore, spoil } from "./sqlite-place.ts";

await storeConformance("a memory store", () => memoryStore(), { plans: 1 });

await storeConformance("a SQLite store", makeStore, {
	module: new URL("./sqlite-place.ts", import.meta.url),
	spoil,
	plans: 60,
});
