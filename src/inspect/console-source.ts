/** Owns what the console asks of whatever it shows, a runtime of this process or a store's file: the contract alone, nothing runs here. */
import type { SessionRow } from "../../machines/facts.ts";
import type {
	Command,
	CommandAnswer,
	HostDescription,
	Line,
	RowsPage,
	SessionParts,
} from "./protocol.ts";

/** A session that changed, or that is there no longer. */
export type ChangedRow =
	| SessionRow<unknown>
	| Extract<Line, { status: "deleted" }>;

export interface ConsoleSource {
	readonly description: Omit<HostDescription, "chart">;
	/** A page of 1000, by key. */
	rows(cursor: string | null): Promise<RowsPage>;
	/** What there is to see of one session. Its transition is known only while somebody watches it. */
	parts(sessionKey: string): Promise<SessionParts>;
	/** Rejects where commands are not taken. */
	carryOut(command: Command): Promise<CommandAnswer>;
	/** Tells of sessions that changed, until what it gives back is called. */
	follow(changed: (row: ChangedRow) => void): () => void;
	/** Tells that there may be something new to see of one session, until what it gives back is called. */
	watch(sessionKey: string, changed: () => void): () => void;
	/** Releases what it holds. Who follows and watches has stopped before. */
	close(): Promise<void>;
}
