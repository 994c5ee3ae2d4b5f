/** Owns how a run suspends until somebody answers: the wait is committed before anybody can answer it, and ends with the run. */
import type { JsonValue } from "../machines/json.ts";
import type { RunFacts } from "../machines/run.ts";
import { copied } from "./arguments.ts";
import { ask, staleRun } from "./asking.ts";
import type { Engine } from "./engine.ts";
import type { LiveRun } from "./registry.ts";
import { unanswered } from "./run-calls.ts";

export async function waitFor<Meta>(
	engine: Engine<Meta>,
	live: LiveRun,
	name: string,
	timeoutMs: number | null,
): Promise<JsonValue> {
	const { clock } = engine;
	const answer = Promise.withResolvers<JsonValue>();
	const stopped = Promise.withResolvers<never>();
	// An executor may be past caring when its run is told to stop.
	answer.promise.catch(() => {});
	stopped.promise.catch(() => {});
	let isOpen = false;
	const owned = {
		see: ({ answers, waits }: RunFacts) => {
			const given = answers.find((one) => one.name === name);
			if (given) answer.resolve(given.value);
			// Given up, by whoever waits for that name.
			else if (isOpen && !waits.some((one) => one.name === name))
				answer.reject(unanswered(name, live.ticket));
		},
		stop: stopped.reject,
		release: () => stopped.reject(staleRun(live.ticket)),
	};
	live.own(owned);
	live.awaited = [...live.awaited, name];
	let timer: unknown = null;
	let isAsked = false;
	try {
		const { reply, after } = await ask(
			engine,
			live,
			() => ({
				type: "wait",
				at: engine.now(),
				ticket: live.ticket,
				name,
				deadline: timeoutMs === null ? null : engine.now() + timeoutMs,
			}),
			({ reply }) => {
				isOpen = reply?.result === "done";
			},
		);
		isAsked = true;
		if (reply?.result === "known") return copied(reply.value);
		if (reply?.result !== "done") throw staleRun(live.ticket);
		const wait = after.run?.waits.find((one) => one.name === name);
		const deadline = wait?.deadline ?? null;
		if (deadline !== null) {
			const left = deadline - clock.now();
			const end = () => giveUp(engine, live, name);
			if (left > 0) timer = clock.setTimeout(end, left);
			else end();
		}
		try {
			return copied(await Promise.race([answer.promise, stopped.promise]));
		} finally {
			await goOn(engine, live, stopped.promise);
		}
	} finally {
		clock.clearTimeout(timer);
		live.disown(owned);
		live.awaited = live.awaited.toSpliced(live.awaited.indexOf(name), 1);
		// Its commit failed, and may hold all the same.
		if (!isAsked)
			giveUp(engine, live, name, () => !live.awaited.includes(name));
	}
}

/** Answered or given up, a run goes on once it has a slot again; at once if it waits for something else too, or is told to stop. */
async function goOn<Meta>(
	engine: Engine<Meta>,
	live: LiveRun,
	over: Promise<never>,
): Promise<void> {
	if (live.isAborted || live.isReleased) return;
	if (live.isSuspended) return;
	const back = engine.taking.slots.rejoin(live.run);
	if (!back) return;
	live.holdUp(true);
	try {
		await Promise.race([back, over]);
	} finally {
		engine.taking.slots.stay(live.run);
		live.holdUp(false);
	}
}

/** The time of a wait is over, unless an answer was committed before. */
function giveUp<Meta>(
	engine: Engine<Meta>,
	live: LiveRun,
	name: string,
	/** Asked when its turn has come. */
	holds: () => boolean = () => true,
): void {
	const { ticket } = live;
	engine.keep(ticket.sessionKey, {
		event: () =>
			holds() ? { type: "unwait", at: engine.now(), ticket, name } : null,
		committed: () => {},
	});
}
