/** Owns what is known of a message that was accepted on Restate. */
import type { SessionRow } from "../../machines/facts.ts";
import type { SendReceipt, Settled } from "../runtime.ts";

/** What the session says of it at once. */
export type Accepted = Omit<SendReceipt, "settled">;

/** Without the promise of its end, and with its row, which others make when somebody looks. */
export function acceptedOf(receipt: SendReceipt): Accepted {
	const { disposition, messageId, ticket, row } = receipt;
	return { disposition, messageId, ticket, row };
}

/** Its end is asked for when somebody looks: most hosts do not. */
export class RemoteReceipt<Output> implements SendReceipt<Output> {
	readonly disposition: SendReceipt["disposition"];
	readonly messageId: string;
	readonly ticket: SendReceipt["ticket"];
	readonly row: SessionRow;
	readonly #ask: () => Promise<Settled<Output>>;
	#settled: Promise<Settled<Output>> | null = null;

	constructor(
		{ disposition, messageId, ticket, row }: Accepted,
		ask: () => Promise<Settled<Output>>,
	) {
		this.disposition = disposition;
		this.messageId = messageId;
		this.ticket = ticket;
		this.row = row;
		this.#ask = ask;
	}

	get settled(): Promise<Settled<Output>> {
		this.#settled ??= this.#ask();
		return this.#settled;
	}
}
