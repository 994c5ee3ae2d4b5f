/**
 * Owns the comparison: a host as many are written, with a Map of what runs and a table of rows by session key. A report finds its row
 * by the key alone. Each line of it is reasonable; together they lose to one late report.
 */

export interface MapRow {
	sessionId: string;
	status: "idle" | "running" | "ended" | "failed";
	error: string | null;
}

export class MapHost {
	readonly rows = new Map<string, MapRow>();
	readonly running = new Map<string, AbortController>();
	#sessions = 0;

	message(sessionKey: string): void {
		const row = this.rows.get(sessionKey) ?? this.#fresh(sessionKey);
		row.status = "running";
		this.running.set(sessionKey, new AbortController());
	}

	reset(sessionKey: string): void {
		this.running.get(sessionKey)?.abort();
		this.running.delete(sessionKey);
		this.#fresh(sessionKey);
	}

	/** The run is over and says so; what it still knows is its session key. */
	error(sessionKey: string, error: string): void {
		const row = this.rows.get(sessionKey) ?? this.#fresh(sessionKey);
		row.status = "failed";
		row.error = error;
		this.running.delete(sessionKey);
	}

	#fresh(sessionKey: string): MapRow {
		this.#sessions += 1;
		const row: MapRow = {
			sessionId: `s${this.#sessions}`,
			status: "idle",
			error: null,
		};
		this.rows.set(sessionKey, row);
		return row;
	}
}
