/** What every store must do, asked of a SQLite store whose database is on a thread. */
import { storeConformance } from "turnkeeper/testing";
import { spoil } from "./sqlite-place.ts";
import { makeStore } from "./thread-place.ts";

await storeConformance("a SQLite store on a thread", makeStore, {
	module: new URL("./thread-place.ts", import.meta.url),
	spoil,
	kills: 3,
	plans: 15,
});
