/**
 * Owns the host as many are: a Map of sessions, a status in each row, and runs that report by the session's key. There is no mistake in it that
 * is easy to see.
 */

import type { Adapter, Message, Thread } from "chat";
import { agent } from "./agent.ts";
import { botOn } from "./door.ts";

interface Session {
	readonly sessionId: string;
	status: "idle" | "running" | "ended" | "failed";
	error: string | null;
}

export function createPlainHost(adapter: Adapter, modelUrl: string) {
	const sessions = new Map<string, Session>();
	let ids = 0;
	const fresh = (key: string): Session => {
		ids += 1;
		const session: Session = {
			sessionId: `session ${ids}`,
			status: "idle",
			error: null,
		};
		sessions.set(key, session);
		return session;
	};
	/** What a run reports: all it has is the key. */
	const report = (
		key: string,
		status: "ended" | "failed",
		error: string | null,
	) => Object.assign(sessions.get(key) ?? fresh(key), { status, error });

	async function take(thread: Thread, { text }: Message): Promise<void> {
		const key = thread.channelId;
		const session = sessions.get(key) ?? fresh(key);
		if (text.endsWith("/new")) {
			fresh(key);
			await thread.post("A new session begins here.");
			return;
		}
		// One run at a time, and none in a session that has failed: somebody has to look at it, and say /new.
		if (session.status === "running" || session.status === "failed") return;
		session.status = "running";
		agent(text, modelUrl).then(
			async (answer) => {
				report(key, "ended", null);
				await thread.post(answer);
			},
			(error: Error) => report(key, "failed", error.message),
		);
	}

	const bot = botOn(adapter);
	bot.onNewMention(async (thread, message) => {
		await thread.subscribe();
		await take(thread, message);
	});
	bot.onSubscribedMessage(take);
	return { bot, sessions };
}
