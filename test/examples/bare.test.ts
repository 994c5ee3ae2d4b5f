import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { expect, onTestFinished, test } from "vitest";

const main = new URL("../../examples/bare/main.ts", import.meta.url);
const ownName = new URL("../support/own-name.ts", import.meta.url);

function startBare(folder: string) {
	const host = spawn(
		process.execPath,
		["--import", ownName.href, main.pathname],
		{
			env: { ...process.env, DB: join(folder, "bare.db") },
			stdio: ["pipe", "pipe", "inherit"],
		},
	);
	onTestFinished(() => {
		host.kill("SIGKILL");
	});
	const said: string[] = [];
	const lines = createInterface({ input: host.stdout });
	lines.on("line", (line) => said.push(line));
	const heard = async (line: string) => {
		while (!said.includes(line)) await once(lines, "line");
	};
	return { host, said, heard };
}

function folderOfTest(): string {
	const folder = mkdtempSync(join(tmpdir(), "turnkeeper-bare-"));
	onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
	return folder;
}

test("the bare host answers in order, is reset in mid-run, stops, and ends with its input", async () => {
	const { host, said, heard } = startBare(folderOfTest());
	host.stdin.write("ada hello\nada again\n");
	await heard('ada: you said "again"');
	expect(said).toEqual([
		"ada: queued",
		'ada: you said "hello"',
		'ada: you said "again"',
	]);
	// Another session: the last run of this one may not have come to its end when its answer is read.
	host.stdin.write("bob too late\nbob /new\n");
	await heard("bob: new session, done");
	host.stdin.write("bob fresh\nbob /stop\n");
	await heard("bob: stop, done");
	host.stdin.write("bob /stop\nnonsense\n");
	await heard("say KEY TEXT, KEY /new or KEY /stop");
	host.stdin.end();
	expect(await once(host, "close")).toEqual([0, null]);
	expect(said.slice(3).sort()).toEqual([
		"bob: aborted",
		"bob: aborted",
		"bob: new session, done",
		"bob: stop, done",
		"bob: stop, nothing",
		"say KEY TEXT, KEY /new or KEY /stop",
	]);
});
