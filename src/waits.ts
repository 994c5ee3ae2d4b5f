/** Owns how a run suspends until somebody answers: the wait is committed before anybody can answer it, and ends with the run. */
import type { JsonValue } from "../machines/json.ts";
import { openWaits, type RunFacts } from "../machines/run.ts";
import { copied, shown } from "./arguments.ts";
import type { Engine } from "./engine.ts";
import { TurnkeeperError } from "./errors.ts";
import { ask, staleRun } from "./handles.ts";
import type { LiveRun } from "./registry.ts";

export async function waitFor<Meta>(
	engine: Engine<Meta>,
	live: LiveRun,
	name: string,
	timeoutMs: number | null,
): Promise<JsonValue> {
	if (live.isAborted) throw staleRun(live.ticket);
	const { clock } = engine;
	const answer = Promise.withResolvers<JsonValue>();
	const over = Promise.withResolvers<never>();
	// An executor may be past caring when its run is told to stop.
	answer.promise.catch(() => {});
	over.promise.catch(() => {});
	const end = (reason: Error) => {
		answer.reject(reason);
		over.reject(reason);
	};
	const owned = {
		see: ({ answers }: RunFacts) => {
			const given = answers.find((one) => one.name === name);
			if (given) answer.resolve(given.value);
		},
		stop: end,
		release: () => end(staleRun(live.ticket)),
	};
	live.own(owned);
	let timer: unknown = null;
	try {
		const { reply, after } = await ask(engine, live, () => ({
			type: "wait",
			at: engine.now(),
			ticket: live.ticket,
			name,
			deadline: timeoutMs === null ? null : engine.now() + timeoutMs,
		}));
		if (reply?.result === "known") return copied(reply.value);
		if (reply?.result !== "done") throw staleRun(live.ticket);
		const wait = after.run?.waits.find((one) => one.name === name);
		const deadline = wait?.deadline ?? null;
		if (deadline !== null)
			timer = clock.setTimeout(
				() => giveUp(engine, live, name, answer.reject),
				Math.max(0, deadline - clock.now()),
			);
		try {
			return copied(await answer.promise);
		} finally {
			await goOn(engine, live, over.promise);
		}
	} finally {
		clock.clearTimeout(timer);
		live.disown(owned);
	}
}

/** Answered or given up, a run goes on once it has a slot again; at once if it waits for something else too, or is told to stop. */
async function goOn<Meta>(
	engine: Engine<Meta>,
	live: LiveRun,
	over: Promise<never>,
): Promise<void> {
	if (live.isAborted || live.isReleased) return;
	if (openWaits(live.run).length > 0) return;
	const back = engine.slots.rejoin(live.run);
	if (!back) return;
	live.holdUp(true);
	try {
		await Promise.race([back, over]);
	} finally {
		engine.slots.stay(live.run);
		live.holdUp(false);
	}
}

/** The time of a wait is over, unless an answer was committed before. */
function giveUp<Meta>(
	engine: Engine<Meta>,
	live: LiveRun,
	name: string,
	reject: (error: TurnkeeperError) => void,
): void {
	const { ticket } = live;
	engine.keep(ticket.sessionKey, {
		event: () => ({ type: "unwait", at: engine.now(), ticket, name }),
		committed: ({ reply }) => {
			if (reply?.result !== "done") return;
			reject(
				new TurnkeeperError(
					"WAIT_TIMEOUT",
					`run ${shown(ticket.runId)} of session ${shown(ticket.sessionKey)} got no answer to ${shown(name)} in time; resume answers it`,
				),
			);
		},
	});
}
