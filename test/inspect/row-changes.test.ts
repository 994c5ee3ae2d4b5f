/** How pages are told of sessions that changed, where one of them does not read. */
import { expect, test } from "vitest";
import type { WebSocket } from "ws";
import { rowOf, unusedFacts } from "../../machines/facts.ts";
import type {
	ChangedRow,
	ConsoleSource,
} from "../../src/inspect/console-source.ts";
import type { Line } from "../../src/inspect/protocol.ts";
import { RowChanges } from "../../src/inspect/row-changes.ts";
import { openConsole, PageClient, until } from "./console-client.ts";

/** A source that says what the test says. */
function scripted() {
	const followers = new Set<(row: ChangedRow) => void>();
	const source = {
		description: { name: "scripted", readOnly: null, tellsAll: true },
		follow: (changed: (row: ChangedRow) => void) => {
			followers.add(changed);
			return () => followers.delete(changed);
		},
		close: async () => {},
		carryOut: async () => ({ result: "nothing" }),
	} as unknown as ConsoleSource;
	return {
		source,
		followers,
		change: (sessionKey: string, version: number) => {
			const row = rowOf({ ...unusedFacts(sessionKey), version });
			for (const follower of followers) follower(row);
		},
	};
}

async function open() {
	const { source, change } = scripted();
	const { url } = await openConsole(source);
	return {
		change,
		slow: await PageClient.open(url),
		swift: await PageClient.open(url),
	};
}

const longKey = (i: number) => `${"x".repeat(4000)}:${i}`;

test("a page that is behind is told the newest of each session when it reads again", async () => {
	const { change, slow, swift } = await open();
	slow.socket.pause();
	const sessions = 1000;
	const versions = 4;
	const frames = (page: PageClient) =>
		page.said.filter(({ say }) => say === "rows").length;
	for (let version = 1; version <= versions; version++) {
		for (let i = 0; i < sessions; i++) change(longKey(i), version);
		await until(() =>
			expect(swift.lines.get(longKey(sessions - 1))?.version).toBe(version),
		);
	}
	slow.socket.resume();
	await until(() => {
		expect(slow.lines.size).toBe(sessions);
		for (const { version } of slow.lines.values())
			expect(version).toBe(versions);
	});
	expect(frames(slow)).toBeLessThan(frames(swift));
});

/** As much of a socket as is needed to tell one something. */
function fakePage(bufferedAmount: number) {
	const page = {
		readyState: 1,
		OPEN: 1,
		bufferedAmount,
		told: new Map<string, Line>(),
		isOpen: true,
		send: (text: string) => {
			for (const line of JSON.parse(text).rows)
				page.told.set(line.sessionKey, line);
		},
		terminate: () => {
			page.isOpen = false;
		},
	};
	return { page, socket: page as unknown as WebSocket };
}

test("a page that is too far behind is let go, and the others are told everything", async () => {
	const { source, change, followers } = scripted();
	const changes = new RowChanges(source, 5000);
	const slow = fakePage(2_000_000);
	const swift = fakePage(0);
	for (const { socket } of [slow, swift]) changes.join(socket);
	for (let i = 1; i <= 5000; i++) change(`s:${i}`, 1);
	await until(() => expect(swift.page.told.size).toBe(5000));
	expect(slow.page).toMatchObject({ isOpen: true, told: new Map() });
	change("s:1", 2);
	change("one more", 1);
	await until(() => expect(slow.page.isOpen).toBe(false));
	expect(swift.page.told.size).toBe(5001);
	expect(swift.page.told.get("s:1")?.version).toBe(2);
	changes.leave(slow.socket);
	changes.leave(swift.socket);
	expect(followers.size).toBe(0);
});

test("changes that come faster than pages can be told of them end in asking for all again", () => {
	const { source, change, followers } = scripted();
	const changes = new RowChanges(source, 5000);
	const { page, socket } = fakePage(0);
	changes.join(socket);
	for (let i = 0; i <= 5000; i++) change(`s:${i}`, 1);
	expect(page.isOpen).toBe(false);
	expect(followers.size).toBe(0);
});
