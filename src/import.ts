/** Owns the take-over of sessions of an earlier system. Keys that exist already are left alone; a bad row ends it with what was wrong. */
import {
	checkMs,
	checkName,
	checkOptions,
	checkTokens,
	invalid,
	shown,
} from "./arguments.ts";
import type { Config } from "./config.ts";
import type { Engine } from "./engine.ts";
import type { Entrance } from "./entrance.ts";
import type { ImportedSession } from "./runtime.ts";

export class Importer<Input, Output, Meta> {
	readonly #engine: Engine<Meta>;
	readonly #config: Config<Input, Output, Meta>;
	readonly #entrance: Entrance;

	constructor(
		engine: Engine<Meta>,
		config: Config<Input, Output, Meta>,
		entrance: Entrance,
	) {
		this.#engine = engine;
		this.#config = config;
		this.#entrance = entrance;
	}

	async import(
		rows:
			| Iterable<ImportedSession<Meta>>
			| AsyncIterable<ImportedSession<Meta>>,
	): Promise<{ imported: number; skipped: readonly string[] }> {
		this.#engine.mustBeOpen("import");
		if (
			typeof rows !== "object" ||
			rows === null ||
			!(Symbol.iterator in rows || Symbol.asyncIterator in rows)
		)
			throw invalid(
				`rows is ${shown(rows)}; it must be an iterable of { sessionKey, sessionId, … }`,
			);
		const skipped: string[] = [];
		const failures: unknown[] = [];
		let imported = 0;
		/** The key of each row that was skipped; null where it was imported, or failed. */
		let batch: Promise<string | null>[] = [];
		// In the order of the rows, whichever was answered first.
		const count = async () => {
			for (const key of await Promise.all(batch))
				if (key !== null) skipped.push(key);
			batch = [];
		};
		for await (const row of rows) {
			batch.push(
				this.#import(row).then(
					(done) => {
						if (!done) return row.sessionKey;
						imported += 1;
						return null;
					},
					(error) => {
						failures.push(error);
						return null;
					},
				),
			);
			if (failures.length > 0) break;
			if (batch.length === 1000) await count();
		}
		await count();
		if (failures.length > 0) throw failures[0];
		return { imported, skipped };
	}

	async #import(row: ImportedSession<Meta>): Promise<boolean> {
		const engine = this.#engine;
		engine.mustBeOpen("import");
		if (typeof row !== "object" || row === null)
			throw invalid(
				`an imported session is ${shown(row)}; it must be { sessionKey, sessionId, … }`,
			);
		const sessionKey = checkName(row.sessionKey, "sessionKey");
		const sessionId = checkName(row.sessionId, "sessionId");
		const meta =
			row.meta === undefined
				? {}
				: await this.#entrance.guard(this.#config.meta(row.meta));
		const now = engine.now();
		const createdAt = checkMs(row.createdAt ?? now, "createdAt");
		const updatedAt = checkMs(row.updatedAt ?? createdAt, "updatedAt");
		const usage = checkOptions(row.usage, "usage");
		const inputTokens = checkTokens(usage.inputTokens, "usage.inputTokens");
		const outputTokens = checkTokens(usage.outputTokens, "usage.outputTokens");
		return new Promise((resolve, reject) => {
			engine.post(sessionKey, {
				event: () => {
					engine.mustBeOpen("import");
					return {
						type: "import",
						at: now,
						sessionId,
						meta,
						inputTokens,
						outputTokens,
						createdAt,
						updatedAt,
					};
				},
				committed: ({ reply }) => resolve(reply?.result === "done"),
				failed: reject,
			});
		});
	}
}
