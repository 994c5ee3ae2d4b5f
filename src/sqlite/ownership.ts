/**
 * Owns who may write to a store's file: one owner at a time, by a transaction held open on the side file `<path>.lock`. The kernel drops
 * it when the process dies, so nobody is ever taken for dead or alive by a pid. The pid in `<path>.owner` serves the error text alone.
 *
 * Nothing but SQLite may open the side file: on POSIX, to close any other handle of it in this process drops the lock. Therefore a second
 * open in this process is refused by a register, before the file is touched, and the side file is never removed.
 */
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as after } from "node:timers/promises";
import { TurnkeeperError } from "../errors.ts";
import { isBusy, isDamage, storeFailure } from "./failure.ts";

/** How often somebody who waits for the lock tries again. */
const retryMs = 20;

interface Owner {
	readonly pid: number;
	readonly name: string;
	/** ISO 8601. */
	readonly since: string;
}

/** Paths that this process owns or is about to. On globalThis, because two copies of this module may be loaded. */
const registered = Symbol.for("turnkeeper.sqlite.owned");
const shared = globalThis as { [registered]?: Map<string, Owner> };
shared[registered] ??= new Map();
const owned = shared[registered];

/** The ownership of one file, until it is released. */
export class Ownership {
	readonly #place: string;
	readonly #lock: DatabaseSync;

	private constructor(place: string, lock: DatabaseSync) {
		this.#place = place;
		this.#lock = lock;
	}

	/** STORE_LOCKED if somebody else still owns the file when the time to wait is over. */
	static async take(
		place: string,
		name: string,
		waitMs: number,
	): Promise<Ownership> {
		const until = performance.now() + waitMs;
		for (;;) {
			const taken = Ownership.#tryTake(place, name);
			if (taken) return taken;
			const left = until - performance.now();
			if (left <= 0) throw lockedError(place);
			await after(Math.min(retryMs, left));
		}
	}

	static #tryTake(place: string, name: string): Ownership | null {
		if (owned.has(place)) return null;
		const owner = {
			pid: process.pid,
			name,
			since: new Date().toISOString(),
		};
		owned.set(place, owner);
		let lock: DatabaseSync | undefined;
		try {
			lock = new DatabaseSync(`${place}.lock`, { timeout: 0 });
			lock.exec("BEGIN EXCLUSIVE");
			writeFileSync(`${place}.owner`, JSON.stringify(owner));
			return new Ownership(place, lock);
		} catch (error) {
			lock?.close();
			owned.delete(place);
			if (isBusy(error)) return null;
			if (isDamage(error))
				throw new TurnkeeperError(
					"STORE_FAILED",
					`the store ${place} cannot be owned: ${place}.lock is another program's file; it must be empty or absent`,
					{ cause: error },
				);
			throw storeFailure(place, "owned", error);
		}
	}

	release(): void {
		try {
			// Before the lock goes: afterwards the file may be the next owner's.
			rmSync(`${this.#place}.owner`, { force: true });
		} catch {
			// It would name an owner that is gone, to nobody: only who finds the lock taken reads it.
		}
		this.#lock.close();
		owned.delete(this.#place);
	}
}

function lockedError(place: string): TurnkeeperError {
	const here = owned.get(place);
	const owner = here ?? ownerOf(place);
	const who = owner
		? `${here ? "this process" : "process"} ${owner.pid} (${owner.name}, since ${owner.since})`
		: "another process";
	return new TurnkeeperError(
		"STORE_LOCKED",
		`the store ${place} is owned by ${who}; close it there first, or wait for that with lockTimeoutMs`,
	);
}

/** As the owner wrote it; null if it has not yet, or if it was cut off in the middle of it. */
function ownerOf(place: string): Owner | null {
	try {
		return JSON.parse(readFileSync(`${place}.owner`, "utf8"));
	} catch {
		return null;
	}
}
