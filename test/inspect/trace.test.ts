/**
 * The trace that the console gives away, replayed: every recorded stream of a real host leaves the same behind as the trace of what the
 * console shows of it.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { RunRecord } from "turnkeeper";
import { map } from "turnkeeper/maps/openclaw";
import { memoryStore } from "turnkeeper/memory";
import { describe, expect, test } from "vitest";
import { traceOf } from "../../src/inspect/page/trace.ts";
import type { WatchedSession } from "../../src/inspect/page/watched.ts";
import { openStream } from "../../src/replay/lines.ts";
import {
	type Replayed,
	type ReplayedHistory,
	replay,
} from "../../src/replay/replay.ts";

const folder = join(import.meta.dirname, "..", "recorded", "openclaw");

function all<T>(items: readonly T[]) {
	return { items, more: false };
}

/** Each session that a replay left, as the console shows it. */
function shownOf({
	rows,
	runs,
	archive,
	refusals,
}: Replayed & ReplayedHistory): WatchedSession[] {
	const keys = new Set([
		...rows.map(({ sessionKey }) => sessionKey),
		...archive.map(({ sessionKey }) => sessionKey),
	]);
	return [...keys].map((sessionKey) => {
		const own = <T extends { readonly sessionKey: string }>(
			records: readonly T[],
		) => all(records.filter((record) => record.sessionKey === sessionKey));
		const ids = new Set(own(runs).items.map(({ runId }) => runId));
		return {
			sessionKey,
			row: rows.find((row) => row.sessionKey === sessionKey) ?? null,
			state: null,
			transition: null,
			generations: own(archive),
			runs: own(runs),
			refusals: all(refusals.filter(({ report }) => ids.has(report.runId))),
			queue: all([]),
			transcript: all([]),
			waits: [],
		};
	});
}

/** What a trace keeps. */
function kept({ row, generations, runs, refusals }: WatchedSession) {
	const run = ({ runId, generation, outcome, stoppedBy, error }: RunRecord) =>
		`${generation} ${runId} ${outcome} ${stoppedBy} ${error}`;
	return {
		row: row && {
			generation: row.generation,
			sessionId: row.sessionId,
			status: row.status,
			lastOutcome: row.lastOutcome,
		},
		ended: generations.items.map(({ generation, endedBy }) => [
			generation,
			endedBy,
		]),
		runs: runs.items
			.filter(({ startedAt }) => startedAt !== null)
			.map(run)
			.sort(),
		refusals: refusals.items
			.map(
				({ verdict, report }) => `${verdict} ${report.phase} ${report.runId}`,
			)
			.sort(),
	};
}

describe("the trace of what the console shows of a session, replayed, leaves the same", () => {
	test.for(readdirSync(folder))("%s", async (file) => {
		const first = await replay(
			openStream([readFileSync(join(folder, file), "utf8")], map),
			memoryStore(),
			{ history: true },
		);
		const sessions = shownOf(first);
		expect(sessions.length).toBeGreaterThan(0);
		for (const session of sessions) {
			// Of a session that was begun and never used nothing happened that a line could say.
			if (session.runs.items.length + session.generations.items.length === 0)
				continue;
			const text = traceOf(session)
				.map((line) => JSON.stringify(line))
				.join("\n");
			const again = await replay(openStream([text]), memoryStore(), {
				history: true,
			});
			expect(again.badLines).toEqual([]);
			expect(again.contradictions).toEqual([]);
			const [left] = shownOf(again);
			expect(left && kept(left)).toEqual(kept(session));
		}
	});
});
