/** Owns how the console of turnkeeper is opened beside the chat, and that the chat does without where there is none. */
import type { ChatRuntime } from "../chat/host.ts";

export interface Console {
	/** To open in a browser; with the token that lets in. */
	readonly url: string;
	close(): Promise<void>;
}

/** The console of this runtime, on a port of its own; null: there is none. */
export async function openConsole(_: ChatRuntime): Promise<Console | null> {
	return null;
}
