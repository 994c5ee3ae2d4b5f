/**
 * A store's thread on a disk that is slow to flush: each commit waits for `ms`, or until somebody opens the gate, whichever is first. Without
 * a gate it is the time alone, and without a time the gate alone.
 */
import { workerData } from "node:worker_threads";
import { Writer } from "../../src/sqlite/writer.ts";
import type { Slowness } from "./thread-stores.ts";

const { gate, ms } = workerData.given as Slowness;
const cell = new Int32Array(gate ?? new SharedArrayBuffer(4));
const { commit } = Writer.prototype;

Writer.prototype.commit = function (batch) {
	commit.call(this, batch);
	Atomics.wait(cell, 0, 0, ms);
};

await import("../../src/sqlite/thread-worker.ts");
