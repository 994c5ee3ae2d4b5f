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
		let batch: Promise<void>[] = [];
		for await (const row of rows) {
			batch.push(
				this.#import(row).then(
					(done) => {
						if (done) imported += 1;
						else skipped.push(row.sessionKey);
					},
					(error) => {
						failures.push(error);
					},
				),
			);
			if (failures.length > 0) break;
			if (batch.length < 1000) continue;
			await Promise.all(batch);
			batch = [];
		}
		await Promise.all(batch);
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
