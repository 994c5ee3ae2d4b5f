/** What the console's page knows of all sessions, whichever way and in whichever order it was told. */
import { beforeEach, describe, expect, test, vi } from "vitest";
import { Sessions } from "../../src/inspect/page/sessions.ts";
import type { RowsPage, SessionLine } from "../../src/inspect/protocol.ts";

function line(sessionKey: string, given: Partial<SessionLine> = {}) {
	return {
		sessionKey,
		status: "idle",
		generation: 1,
		sessionId: `id of ${sessionKey}`,
		runId: null,
		queued: 0,
		draining: 0,
		tokens: 0,
		createdAt: 1,
		updatedAt: 1,
		version: 1,
		...given,
	} as const satisfies SessionLine;
}

const page = (
	rows: readonly SessionLine[],
	cursor: string | null = null,
): RowsPage => ({ rows, cursor });

beforeEach(() => {
	vi.useFakeTimers();
	return () => vi.useRealTimers();
});

function keysOf(sessions: Sessions): string[] {
	vi.advanceTimersByTime(10_000);
	return sessions.shown.get().lines.map(({ sessionKey }) => sessionKey);
}

describe("the sessions of the console's page", () => {
	test("are read page by page, the last changed first", async () => {
		const sessions = new Sessions();
		await sessions.read(async (cursor) =>
			cursor === null
				? page([line("a", { updatedAt: 1 }), line("b", { updatedAt: 3 })], "2")
				: page([line("c", { updatedAt: 2 })]),
		);
		expect(keysOf(sessions)).toEqual(["b", "c", "a"]);
		expect(sessions.shown.get()).toMatchObject({ total: 3, complete: true });
	});

	test("keep the newer of two lines, whichever came last", async () => {
		const sessions = new Sessions();
		await sessions.read(async () => {
			sessions.take([line("a", { version: 5, status: "running" })]);
			return page([line("a", { version: 4 })]);
		});
		vi.advanceTimersByTime(1000);
		expect(sessions.shown.get().lines).toMatchObject([{ status: "running" }]);
	});

	test("lose one that is deleted, also while an older page of it is on its way", async () => {
		const sessions = new Sessions();
		await sessions.read(async () => {
			sessions.take([{ sessionKey: "a", status: "deleted", version: 5 }]);
			return page([line("a", { version: 4 }), line("b")]);
		});
		expect(keysOf(sessions)).toEqual(["b"]);
		sessions.take([line("a", { version: 6 })]);
		expect(keysOf(sessions)).toEqual(["a", "b"]);
	});

	test("lose on being read again those that are there no longer, and no other", async () => {
		const sessions = new Sessions();
		await sessions.read(async () => page([line("a"), line("b")]));
		await sessions.read(async () => {
			sessions.take([line("c")]);
			return page([line("b")]);
		});
		expect(keysOf(sessions)).toEqual(["b", "c"]);
	});

	test("are found by key, session id or run, and by status; the counts are of what was found", async () => {
		const sessions = new Sessions();
		await sessions.read(async () =>
			page([
				line("telegram:1", { status: "running", runId: "Run-7" }),
				line("telegram:2", { status: "failed" }),
				line("discord:1", { status: "failed", sessionId: "TELEGRAM-like" }),
			]),
		);
		vi.advanceTimersByTime(1000);
		const asked = sessions.asked.get();
		const search = (text: string) => {
			sessions.asked.set({ ...asked, search: text });
			return keysOf(sessions);
		};
		expect(search("run-7")).toEqual(["telegram:1"]);
		expect(search("nowhere")).toEqual([]);
		expect(search(" Telegram ").toSorted()).toEqual([
			"discord:1",
			"telegram:1",
			"telegram:2",
		]);
		expect(sessions.shown.get().counts).toMatchObject({
			failed: 2,
			running: 1,
		});
		sessions.asked.set({ ...asked, search: "telegram:", status: "failed" });
		expect(keysOf(sessions)).toEqual(["telegram:2"]);
	});

	test("stand in the order that was asked for, and those that are equal by key", async () => {
		const sessions = new Sessions();
		await sessions.read(async () =>
			page([
				line("b", { tokens: 5 }),
				line("a", { tokens: 5 }),
				line("c", { tokens: 7 }),
			]),
		);
		const asked = sessions.asked.get();
		sessions.asked.set({ ...asked, by: "tokens", descending: true });
		expect(keysOf(sessions)).toEqual(["c", "a", "b"]);
		sessions.asked.set({ ...asked, by: "tokens", descending: false });
		expect(keysOf(sessions)).toEqual(["a", "b", "c"]);
	});
});
