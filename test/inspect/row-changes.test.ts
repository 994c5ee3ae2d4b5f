/** How pages are told of sessions that changed, where one of them does not read. */
import { expect, test } from "vitest";
import type { ConsoleSource } from "../../src/inspect/console-source.ts";
import type { Line } from "../../src/inspect/protocol.ts";
import { openConsole, PageClient, until } from "./console-client.ts";

/** A source that says what the test says. */
function scripted() {
	const followers = new Set<(line: Line) => void>();
	const source = {
		description: { name: "scripted", readOnly: null, tellsAll: true },
		follow: (changed: (line: Line) => void) => {
			followers.add(changed);
			return () => followers.delete(changed);
		},
		close: async () => {},
		carryOut: async () => ({ result: "nothing" }),
	} as unknown as ConsoleSource;
	return {
		source,
		change: (sessionKey: string, version: number) => {
			for (const follower of followers)
				follower({
					sessionKey,
					status: "idle",
					generation: 1,
					sessionId: "s",
					runId: null,
					queued: 0,
					draining: 0,
					tokens: 0,
					createdAt: 0,
					updatedAt: 0,
					version,
				});
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
	const sessions = 2000;
	const versions = 10;
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

test("a page that is too far behind is let go, and the others are not", async () => {
	const { change, slow, swift } = await open();
	slow.socket.pause();
	for (let i = 0; i < 5000; i++) change(longKey(i), 1);
	await until(() => expect(swift.lines.size).toBe(5000));
	for (let i = 0; i <= 200_000; i++) change(`s:${i}`, 1);
	await until(() => expect(swift.lines.size).toBe(205_001));
	slow.socket.resume();
	await slow.closed;
	change("last", 1);
	await until(() => expect(swift.lines.has("last")).toBe(true));
});
