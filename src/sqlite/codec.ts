/**
 * Owns how records become the JSON arrays in the `body` columns, and back. One list of fields a record serves both ways, so that neither
 * can forget one; the compiler holds the list against the record's type. What could not be read back is not written. A body may grow at
 * its end: elements past the known fields are ignored, and fields that were added since have a value for bodies without them, with which
 * they are not written either. Fields that have a column of their own are not in the body.
 */
import type {
	ArchivedGeneration,
	ChildOf,
	ClosingGeneration,
	DrainingRun,
	Expectation,
	LastRun,
	RowFacts,
	SessionRow,
	SessionStatus,
	StoredEntry,
} from "../../machines/facts.ts";
import type { JsonValue } from "../../machines/json.ts";
import type { Refusal } from "../../machines/report.ts";
import type {
	Delivery,
	RunFacts,
	RunStop,
	RunWait,
	WaitAnswer,
} from "../../machines/run.ts";
import type {
	RunOutcome,
	RunTicket,
	StopCause,
} from "../../machines/ticket.ts";
import { shown } from "../arguments.ts";
import type { StoredMessage, StoredRefusal } from "../store.ts";

/** A field that is not of its type. The message grows by the field's path on the way out. */
class ShapeError extends Error {
	#nested = false;

	constructor(value: unknown, wanted: string) {
		super(`is ${shown(value)}, not ${wanted}`);
		this.name = "ShapeError";
	}

	under(name: string): this {
		this.message = `${name}${this.#nested ? "." : " "}${this.message}`;
		this.#nested = true;
		return this;
	}
}

/** The values of a row's own columns, for the fields that are kept there. */
interface Columns {
	readonly [name: string]: unknown;
}

interface Codec<Value> {
	write(value: Value): unknown;
	read(raw: unknown, columns: Columns): Value;
	/** What a field is where the body ends before it; without this it must be there. */
	readonly absent?: Value | Like;
}

/** The field of this name is a column of the row, or of the row around it. */
const column = "column";

type Fields<Item> = {
	readonly [Name in keyof Item]-?: Codec<Item[Name]> | typeof column;
};

function scalar<Value>(
	wanted: string,
	fits: (value: unknown) => boolean,
): Codec<Value> {
	const check = (value: unknown) => {
		if (!fits(value)) throw new ShapeError(value, wanted);
		return value as Value;
	};
	return { write: check, read: check };
}

const text = scalar<string>("a string", (value) => typeof value === "string");
const number = scalar<number>("a finite number", Number.isFinite);
const flag = scalar<boolean>(
	"true or false",
	(value) => typeof value === "boolean",
);
const json = scalar<JsonValue>("JSON", (value) => value !== undefined);

function oneOf<Word extends string>(words: Record<Word, true>): Codec<Word> {
	const known = new Set<unknown>(Object.keys(words));
	return scalar(`one of ${[...known].join(", ")}`, (value) => known.has(value));
}

function nullable<Value>(codec: Codec<Value>): Codec<Value | null> {
	return {
		write: (value) => (value === null ? null : codec.write(value)),
		read: (raw, columns) => (raw === null ? null : codec.read(raw, columns)),
	};
}

function list<Value>(codec: Codec<Value>): Codec<readonly Value[]> {
	return {
		write: (values) => values.map((value) => codec.write(value)),
		read(raw, columns) {
			if (!Array.isArray(raw)) throw new ShapeError(raw, "an array");
			return raw.map((one) => codec.read(one, columns));
		},
	};
}

const none: readonly never[] = Object.freeze([]);

/** As a column of the row is. */
class Like {
	readonly column: string;

	constructor(column: string) {
		this.column = column;
	}
}

const like = (column: string) => new Like(column);

/** A field that the first version did not have. Such fields stand behind all others, those that are seldom set last. */
function added<Value>(codec: Codec<Value>, absent: Value | Like): Codec<Value> {
	return { ...codec, absent };
}

function absentIn(absent: unknown, columns: Columns): unknown {
	return absent instanceof Like ? columns[absent.column] : absent;
}

function record<Item extends object>(fields: Fields<Item>): Codec<Item> {
	const all = Object.entries(fields) as [
		keyof Item & string,
		Codec<unknown> | typeof column,
	][];
	const own: { name: keyof Item & string; codec: Codec<unknown> }[] = [];
	const outside: (keyof Item & string)[] = [];
	for (const [name, codec] of all)
		if (codec === column) outside.push(name);
		else own.push({ name, codec });
	const fewest = own.findLastIndex(({ codec }) => !("absent" in codec)) + 1;
	const latest = own.slice(fewest).map(({ name, codec: { absent } }) => ({
		name,
		absent,
		column: absent instanceof Like ? absent.column : null,
	}));
	/** Fields at the end that are what they would be without being written are not. */
	const lengthOf = (item: Item) => {
		let i = latest.length - 1;
		for (; i >= 0; i--) {
			const { name, absent, column } = latest[i] as (typeof latest)[number];
			const value: unknown = item[name];
			if (value === absent) continue;
			if (absent === none && Array.isArray(value) && value.length === 0)
				continue;
			if (column === null || value !== (item as Columns)[column]) break;
		}
		return fewest + i + 1;
	};
	return {
		write(item) {
			const body: unknown[] = [];
			const length = lengthOf(item);
			let at = "";
			try {
				for (let i = 0; i < length; i++) {
					const { name, codec } = own[i] as (typeof own)[number];
					at = name;
					body.push(codec.write(item[name]));
				}
			} catch (error) {
				throw error instanceof ShapeError ? error.under(at) : error;
			}
			return body;
		},
		read(raw, columns) {
			if (!Array.isArray(raw)) throw new ShapeError(raw, "an array");
			const item: Record<string, unknown> = {};
			for (const name of outside) item[name] = columns[name];
			let at = "";
			try {
				for (const [i, { name, codec }] of own.entries()) {
					at = name;
					item[name] =
						i >= raw.length && i >= fewest
							? absentIn(codec.absent, columns)
							: codec.read(raw[i], columns);
				}
			} catch (error) {
				throw error instanceof ShapeError ? error.under(at) : error;
			}
			return item as Item;
		},
	};
}

const outcome = oneOf<RunOutcome>({
	completed: true,
	failed: true,
	aborted: true,
	timeout: true,
	interrupted: true,
	abandoned: true,
});

const stop = record<RunStop>({
	cause: oneOf<StopCause>({
		reset: true,
		expiry: true,
		delete: true,
		abort: true,
		interrupt: true,
		timeout: true,
		shutdown: true,
		parent: true,
	}),
	reason: nullable(text),
	deadline: number,
	at: added(nullable(number), null),
});

const ticketFields: Fields<RunTicket> = {
	sessionKey: column,
	sessionId: text,
	generation: number,
	runId: text,
	attempt: number,
};
const ticket = record(ticketFields);

/** Of whichever key. */
const foreignTicket = record<RunTicket>({ ...ticketFields, sessionKey: text });

const runFields: Fields<RunFacts> = {
	sessionKey: column,
	generation: number,
	runId: text,
	attempt: number,
	sessionIds: list(text),
	driver: oneOf<RunFacts["driver"]>({ managed: true, host: true }),
	status: oneOf<RunFacts["status"]>({
		reserved: true,
		admitted: true,
		executing: true,
		aborting: true,
		settled: true,
		abandoned: true,
	}),
	messageIds: list(text),
	admittedAt: nullable(number),
	startedAt: nullable(number),
	endedAt: nullable(number),
	runtimeMs: nullable(number),
	hostStarted: flag,
	stop: nullable(stop),
	outcome: nullable(outcome),
	error: nullable(text),
	inputTokens: number,
	outputTokens: number,
	leaseMs: added(nullable(number), null),
	seenAt: added(nullable(number), null),
	deliveries: added(
		list(
			record<Delivery>({
				name: text,
				attempt: number,
				status: oneOf<Delivery["status"]>({
					begun: true,
					done: true,
					failed: true,
				}),
				result: json,
			}),
		),
		none,
	),
	waits: added(
		list(
			record<RunWait>({
				name: text,
				deadline: nullable(number),
				attempt: number,
			}),
		),
		none,
	),
	answers: added(list(record<WaitAnswer>({ name: text, value: json })), none),
	parent: added(nullable(foreignTicket), null),
	ancestors: added(list(text), none),
	takenBack: added(flag, false),
	followsSession: added(flag, false),
	waitedMs: added(number, 0),
	waitingSince: added(nullable(number), null),
};
const run = record(runFields);

const row = record<SessionRow>({
	sessionKey: column,
	sessionId: text,
	generation: number,
	status: oneOf<SessionStatus>({
		idle: true,
		running: true,
		waiting: true,
		resetting: true,
		ended: true,
		failed: true,
	}),
	hasActiveRun: flag,
	activeRun: nullable(ticket),
	lastOutcome: nullable(outcome),
	lastError: nullable(text),
	startedAt: nullable(number),
	endedAt: nullable(number),
	runtimeMs: nullable(number),
	inputTokens: number,
	outputTokens: number,
	totalTokens: number,
	queued: number,
	draining: number,
	meta: json,
	createdAt: number,
	updatedAt: number,
	version: number,
	waits: added(list(text), none),
});

const generationFields: Fields<ArchivedGeneration> = {
	sessionKey: column,
	generation: number,
	sessionIds: list(text),
	endedBy: oneOf<ArchivedGeneration["endedBy"]>({
		reset: true,
		expiry: true,
		delete: true,
	}),
	reason: nullable(text),
	endedAt: number,
	row,
};

const session = record<RowFacts>({
	sessionKey: column,
	generation: column,
	hidden: column,
	updatedAt: column,
	version: column,
	queued: column,
	sessionIds: list(text),
	purgeBefore: nullable(number),
	run: nullable(run),
	reservations: list(run),
	draining: list(record<DrainingRun>({ run, ended: record(generationFields) })),
	arrivals: number,
	last: nullable(
		record<LastRun>({
			outcome,
			error: nullable(text),
			startedAt: nullable(number),
			endedAt: nullable(number),
			runtimeMs: nullable(number),
		}),
	),
	inputTokens: number,
	outputTokens: number,
	meta: json,
	createdAt: number,
	takenAt: added(nullable(number), like("updatedAt")),
	entries: added(number, 0),
	activeAt: added(number, like("updatedAt")),
	quietUntil: added(number, 0),
	retries: added(list(run), none),
	closing: added(
		list(
			record<ClosingGeneration>({
				generation: number,
				deadline: number,
				postponed: added(flag, false),
			}),
		),
		none,
	),
});

const expectationTypes = {
	sessionId: text,
	generation: number,
	runId: text,
	messageId: text,
	version: number,
} as const satisfies Record<keyof Expectation, unknown>;

/** An object, because each of its fields may be absent. */
const expectation: Codec<Expectation> = {
	write: (value) => value,
	read(raw, columns) {
		if (typeof raw !== "object" || raw === null)
			throw new ShapeError(raw, "an object");
		const found: Record<string, unknown> = {};
		for (const [name, codec] of Object.entries(expectationTypes)) {
			const value = (raw as Record<string, unknown>)[name];
			if (value !== undefined) found[name] = codec.read(value, columns);
		}
		return found;
	},
};

const message = record<StoredMessage>({
	messageId: column,
	seq: column,
	fate: column,
	generation: column,
	input: json,
	acceptedAt: number,
	expect: nullable(expectation),
	run: nullable(ticket),
	reason: nullable(text),
	kind: oneOf<StoredMessage["kind"]>({
		message: true,
		reset: true,
		abort: true,
		delete: true,
	}),
	group: added(nullable(number), null),
	steers: added(nullable(text), null),
	order: added(number, like("seq")),
	front: added(
		nullable(
			oneOf<NonNullable<StoredMessage["front"]>>({
				reset: true,
				interrupt: true,
			}),
		),
		null,
	),
	parent: added(
		nullable(
			record<ChildOf>({
				run: foreignTicket,
				attached: flag,
				ancestors: list(text),
			}),
		),
		null,
	),
	skipped: added(list(text), none),
	edited: added(flag, false),
});

const entry = record<StoredEntry>({
	sessionKey: column,
	generation: column,
	seq: column,
	sessionId: column,
	runId: column,
	attempt: column,
	hidden: column,
	entry: json,
	at: number,
});

const refusal = record<StoredRefusal>({
	refusalId: column,
	sessionKey: column,
	at: number,
	verdict: oneOf<Refusal["verdict"]>({
		archived: true,
		duplicate: true,
		unknown: true,
		refused: true,
	}),
	reason: text,
	report: json as unknown as Codec<Refusal["report"]>,
	current: nullable(foreignTicket),
});

/** The body of one table's rows. `decode` throws on whatever `encode` could not have written. */
export interface Body<Item, Column extends keyof Item> {
	encode(item: Omit<Item, Column>): string;
	decode(body: string, columns: Pick<Item, Column>): Item;
}

function bodyOf<Item, Column extends keyof Item>(
	codec: Codec<Item>,
): Body<Item, Column> {
	return {
		encode: (item) => JSON.stringify(codec.write(item as Item)),
		decode: (body, columns) => codec.read(JSON.parse(body), columns),
	};
}

export const sessionBody: Body<
	RowFacts,
	"sessionKey" | "generation" | "hidden" | "updatedAt" | "version" | "queued"
> = bodyOf(session);

export const runBody: Body<
	RunFacts,
	"sessionKey" | "generation" | "runId" | "attempt"
> = bodyOf(
	record<RunFacts>({
		...runFields,
		generation: column,
		runId: column,
		attempt: column,
	}),
);

export const generationBody: Body<
	ArchivedGeneration,
	"sessionKey" | "generation"
> = bodyOf(
	record<ArchivedGeneration>({ ...generationFields, generation: column }),
);

/** The key of the ticket in it is the key of the row. */
export const messageBody = {
	encode: bodyOf<StoredMessage, "messageId" | "seq" | "fate" | "generation">(
		message,
	).encode,
	decode: (
		body: string,
		columns: Pick<
			StoredMessage,
			"messageId" | "seq" | "fate" | "generation"
		> & { readonly sessionKey: string },
	): StoredMessage => message.read(JSON.parse(body), columns),
};

export const refusalBody: Body<StoredRefusal, "sessionKey" | "refusalId"> =
	bodyOf(refusal);

export const entryBody: Body<
	StoredEntry,
	| "sessionKey"
	| "generation"
	| "seq"
	| "sessionId"
	| "runId"
	| "attempt"
	| "hidden"
> = bodyOf(entry);
