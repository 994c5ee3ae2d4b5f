/** Owns how a store's file is opened and given back, on whichever thread its database then is. Never opens the database itself. */
import type { OpenStore, SessionStore, StoreReader } from "../store.ts";
import { storeFailure } from "./failure.ts";
import { Ownership } from "./ownership.ts";
import { existingPlaceOf, placeOf } from "./place.ts";

/** Who opens the database of a place. */
export interface Opener {
	/** For its owner. `closed` is called once the database is closed again; not if this throws. */
	own(place: string, closed: () => void): OpenStore | Promise<OpenStore>;
	/** For somebody who only looks. */
	read(place: string): StoreReader | Promise<StoreReader>;
}

/** The store at a path that was checked. The lock on it stays with the thread that asks: there all who open it in this process know of each other. */
export function storeAt(
	path: string,
	lockTimeoutMs: number,
	opener: Opener,
): SessionStore {
	return {
		async open({ name }) {
			const place = placeOf(path);
			const ownership = await Ownership.take(place, name, lockTimeoutMs);
			try {
				return await opener.own(place, () => ownership.release());
			} catch (error) {
				ownership.release();
				throw storeFailure(place, "opened", error);
			}
		},
		async read() {
			return opener.read(existingPlaceOf(path));
		},
	};
}
