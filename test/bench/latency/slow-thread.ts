/** Owns the program of a store's thread whose disk is slow. */
import "./slow-fsync.ts";

await import("../../../src/sqlite/thread-worker.ts");
