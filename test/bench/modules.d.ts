/** Owns the types of what only the bench has installed, as far as it uses them: the types are checked without them. */

declare module "chat" {
	interface Platform {
		readonly name: string;
	}
	interface MessageData {
		readonly id: string;
		readonly threadId: string;
		readonly text: string;
		readonly formatted: object;
		readonly author: object;
		readonly attachments: readonly object[];
		readonly metadata: { readonly dateSent: Date; readonly edited: boolean };
		readonly raw: unknown;
	}
	class Message {
		constructor(data: MessageData);
	}
	class Chat {
		constructor(config: {
			userName: string;
			adapters: Readonly<Record<string, Platform>>;
			state: object;
			concurrency: "queue";
			logger: "silent";
		});
		onSubscribedMessage(handler: () => Promise<void>): void;
		initialize(): Promise<void>;
		processMessage(
			platform: Platform,
			threadId: string,
			message: Message,
		): Promise<void>;
		shutdown(): Promise<void>;
	}
}

declare module "@chat-adapter/state-memory" {
	export function createMemoryState(): {
		subscribe(threadId: string): Promise<void>;
	};
}

declare module "vega" {
	export function parse(spec: object): object;
	export class View {
		constructor(runtime: object, options: { renderer: "none" });
		toSVG(): Promise<string>;
		finalize(): void;
	}
}

declare module "vega-lite" {
	export function compile(spec: object): { readonly spec: object };
}
