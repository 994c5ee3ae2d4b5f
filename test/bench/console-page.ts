/**
 * A console's page without a browser, in a process of its own: for each line `URL KEY` it opens one that asks for all rows, watches that
 * session and reads all that it is told, and says "open"; for an empty line it leaves, and says what it was told.
 */
import { createInterface } from "node:readline";
import { WebSocket } from "ws";
import type { Question, RowsPage, Said } from "../../src/inspect/protocol.ts";

let socket: WebSocket | null = null;
const told = { frames: 0, bytes: 0 };
for await (const line of createInterface({ input: process.stdin })) {
	if (line === "") {
		socket?.terminate();
		socket = null;
		console.log(`${told.frames} frames, ${told.bytes} bytes`);
	} else {
		const [url = "", sessionKey = ""] = line.split(" ");
		socket = await open(url, sessionKey);
		console.log("open");
	}
}

async function open(url: string, sessionKey: string): Promise<WebSocket> {
	const socket = new WebSocket(url.replace(/^http/, "ws"));
	const waiting = new Map<number, (answer: unknown) => void>();
	socket.on("message", (data) => {
		const text = String(data);
		told.frames += 1;
		told.bytes += text.length;
		const said: Said = JSON.parse(text);
		if (said.say === "answer") waiting.get(said.id)?.(said.answer);
		if (said.say === "error") throw new Error(said.message);
	});
	await new Promise((resolve) => socket.once("open", resolve));
	let id = 0;
	const ask = (question: Question) =>
		new Promise((resolve) => {
			id += 1;
			waiting.set(id, resolve);
			socket.send(JSON.stringify({ id, ...question }));
		});
	let cursor: string | null = null;
	do {
		const page = (await ask({ ask: "rows", cursor })) as RowsPage;
		cursor = page.cursor;
	} while (cursor !== null);
	await ask({ ask: "watch", sessionKey });
	return socket;
}
