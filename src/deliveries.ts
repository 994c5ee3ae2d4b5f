/**
 * Owns outward effects of runs: the intent is committed before, the result after, and neither is lost on the way. A later attempt of the
 * run finds out here what an earlier one has done.
 */
import type { JsonValue } from "../machines/json.ts";
import { ownsRun, type RunFacts, stepRun } from "../machines/run.ts";
import type { RunTicket } from "../machines/ticket.ts";
import { checkJson, copied, shown } from "./arguments.ts";
import { ask, staleRun } from "./asking.ts";
import { nodeCrypto } from "./builtin.ts";
import type { Engine } from "./engine.ts";
import { holdsRun, keptRun } from "./records.ts";
import type { LiveRun } from "./registry.ts";
import { usedBefore } from "./run-calls.ts";

export type Effect = (context: {
	signal: AbortSignal;
	idempotencyKey: string;
}) => unknown;

/** The end of its run waits for it from the call on. */
export async function deliver<Meta>(
	engine: Engine<Meta>,
	live: LiveRun,
	name: string,
	effect: Effect,
): Promise<unknown> {
	const work = begin(engine, live, name, effect);
	live.pending.add(work);
	try {
		return await work;
	} finally {
		live.pending.delete(work);
	}
}

async function begin<Meta>(
	engine: Engine<Meta>,
	live: LiveRun,
	name: string,
	effect: Effect,
): Promise<unknown> {
	const { ticket } = live;
	const unbegun = !live.begun.has(name);
	live.begun.add(name);
	let begins = false;
	const { reply } = await ask(
		engine,
		live,
		() => ({
			type: "deliver",
			at: engine.now(),
			ticket: live.ticket,
			name,
			unbegun,
		}),
		({ reply }) => {
			begins = reply?.result === "done" || reply?.result === "known";
			if (begins) live.begun.add(name);
		},
	).finally(() => {
		// Nothing has been done: it may be asked for again.
		if (unbegun && !begins) live.begun.delete(name);
	});
	if (reply?.result === "known") return copied(reply.value);
	if (reply?.result === "used") throw usedBefore(name, ticket);
	// Told to stop, or reported to have ended, while the intent was on its way: nothing has been done yet.
	if (reply?.result !== "done" || live.isAborted || live.isReleased)
		throw staleRun(ticket);
	return carryOut(live, name, effect, (status, result) =>
		note(engine, ticket, name, status, result),
	);
}

/** Calls the effect, and notes how it ended. */
export async function carryOut(
	{ ticket, signal }: Pick<LiveRun, "signal" | "ticket">,
	name: string,
	effect: Effect,
	noteEnd: (status: "done" | "failed", result: JsonValue) => Promise<unknown>,
): Promise<unknown> {
	const idempotencyKey = idempotencyKeyOf(ticket, name);
	let result: JsonValue;
	let output: unknown;
	try {
		output = await effect({ signal, idempotencyKey });
		result =
			output === undefined
				? null
				: checkJson(output, `what the delivery ${shown(name)} returned`);
	} catch (error) {
		await noteEnd("failed", null);
		throw error;
	}
	await noteEnd("done", result);
	return output;
}

/** The same for every attempt of the run. */
function idempotencyKeyOf(
	{ sessionKey, generation, runId }: RunTicket,
	name: string,
): string {
	return nodeCrypto()
		.createHash("sha256")
		.update(JSON.stringify([sessionKey, generation, runId, name]))
		.digest("hex")
		.slice(0, 32);
}

/** How it ended is noted in the record of its run, wherever that is by now. Resolves when that is committed, or never will be. */
export function note<Meta>(
	engine: Engine<Meta>,
	ticket: RunTicket,
	name: string,
	status: "done" | "failed",
	result: JsonValue,
): Promise<void> {
	const step = { type: "delivered", name, status, result } as const;
	let settled: RunFacts | null = null;
	return new Promise((resolve) => {
		engine.keep(
			ticket.sessionKey,
			{
				prepare: (session) => {
					settled = null;
					if (holdsRun(session, ticket)) return undefined;
					return keptRun(engine, session, ticket).then((kept) => {
						settled = kept;
					});
				},
				event: ({ facts }) =>
					settled && !facts.retries.some((run) => ownsRun(run, ticket))
						? null
						: { ...step, at: engine.now(), ticket },
				amend: (turn) => {
					if (settled) turn.runs = [stepRun(settled, step)];
				},
				committed: () => resolve(),
			},
			resolve,
		);
	});
}
