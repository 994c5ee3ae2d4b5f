/** Owns what one fsync takes: an append of 4 kB and an fdatasync, in the folder in which the databases are. */
import { closeSync, fdatasyncSync, openSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import { median, quantile } from "./statistics.ts";

export interface FsyncTime {
	readonly appends: number;
	readonly medianMs: number;
	readonly p99Ms: number;
}

const page = Buffer.alloc(4096, 1);

/** A file of its own that is appended to and synced. */
export class FsyncProbe {
	readonly #path: string;
	readonly #file: number;

	constructor(folder: string) {
		this.#path = join(folder, `fsync-${process.pid}`);
		this.#file = openSync(this.#path, "w");
	}

	/** In ms. */
	once(): number {
		const began = performance.now();
		writeSync(this.#file, page);
		fdatasyncSync(this.#file);
		return performance.now() - began;
	}

	close(): void {
		closeSync(this.#file);
		rmSync(this.#path);
	}
}

export function fsyncTime(folder: string, appends = 200): FsyncTime {
	const probe = new FsyncProbe(folder);
	const took = Array.from({ length: appends }, () => probe.once());
	probe.close();
	return { appends, medianMs: median(took), p99Ms: quantile(took, 0.99) };
}
