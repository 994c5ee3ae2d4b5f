/** Owns the contract between the console and what it looks at: a runtime in this process, or the file of another. */
import type {
	Command,
	CommandAnswer,
	HostDescription,
	Line,
} from "./protocol.ts";
import type { SessionReads } from "./session-parts.ts";

export interface ConsoleSource {
	readonly host: HostDescription;
	readonly reads: SessionReads;
	/** Tells of sessions that changed, until the answer is called. */
	follow(tell: (lines: readonly Line[]) => void): () => void;
	/** Tells that something of this session changed, until the answer is called. */
	watch(sessionKey: string, tell: () => void): () => void;
	/** Carried out only where the expectation in it holds. Rejects where no command is taken. */
	command(command: Command): Promise<CommandAnswer>;
}
