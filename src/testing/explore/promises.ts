/**
 * Owns which promise each explored step and state is held to, by its number in the README. Throws where one does not hold; never decides what
 * happens next.
 */
import type { Overlap, SessionEvent } from "../../../machines/events.ts";
import {
	isDraining,
	rowOf,
	type SessionFacts,
	statusOf,
} from "../../../machines/facts.ts";
import { openWaits, type RunFacts, ticketOf } from "../../../machines/run.ts";
import { stateOf } from "../../../machines/session.ts";
import { type RunTicket, ticketId } from "../../../machines/ticket.ts";
import { Broken } from "./broken.ts";
import { type SessionMachine, type Step, step } from "./step.ts";

function hold(
	promise: number | "liveness",
	holds: boolean,
	message: () => string,
): void {
	if (!holds) throw new Broken(promise, message());
}

/** All that has not settled, live or draining. */
export function unsettledOf(facts: SessionFacts): readonly RunFacts[] {
	const draining = facts.draining.map(({ run }) => run);
	return facts.run ? [facts.run, ...draining] : draining;
}

/** Of events that somebody waits for an answer to. */
const answered: ReadonlySet<SessionEvent["type"]> = new Set([
	"message",
	"admit",
	"report",
	"reset",
	"delete",
	"abort",
	"patch",
	"import",
	"rotate",
	"append",
	"wait",
	"deliver",
	"pull",
	"answer",
	"edit",
	"remove",
]);

/** What every step keeps, whoever took it. */
export function checkStep(taken: Step): void {
	const { event, before, after, value } = taken;
	const said = () => `${event.type} in ${stateOf(before)}`;
	hold(2, taken.replies.length === (answered.has(event.type) ? 1 : 0), () => {
		const count = taken.replies.length;
		return `${said()} was given ${count} answers; one each is right for what a caller asks, none for what nobody waits on`;
	});
	// Facts, not snapshots: the chart stands where its facts say.
	hold(3, value === stateOf(after), () => {
		return `${said()} left the chart in '${value}', and its facts mean '${stateOf(after)}'`;
	});
	hold(7, after.version - before.version === (after === before ? 0 : 1), () => {
		return `${said()} moved the version from ${before.version} to ${after.version}; a change is one version`;
	});
	hold(4, after.generation - before.generation >= 0, () => {
		return `${said()} went back from generation ${before.generation} to ${after.generation}`;
	});
	checkMessages(taken, said);
	checkRuns(taken, said);
}

/** No message gets lost on the way, and none is in two places. */
function checkMessages(taken: Step, said: () => string): void {
	const { event, before, after, fates, runs } = taken;
	const idsOf = (facts: SessionFacts) => [
		...facts.queue.map(({ messageId }) => messageId),
		...unsettledOf(facts).flatMap(({ messageIds }) => messageIds),
	];
	const there = idsOf(after);
	hold(6, new Set(there).size === there.length, () => {
		return `${said()} left a message in two places: ${there.join(", ")}`;
	});
	const told = new Set([
		...fates
			.filter(({ fate, reason }) => fate === "removed" && reason)
			.map(({ message }) => message.messageId),
		...runs
			.filter(({ outcome }) => outcome !== null)
			.flatMap(({ messageIds }) => messageIds),
	]);
	const lost = idsOf(before).filter(
		(id) => !there.includes(id) && !told.has(id),
	);
	hold(6, lost.length === 0, () => {
		return `${said()} lost ${lost.join(", ")}: neither in line, nor with a run, nor removed with a reason`;
	});
	if (event.type === "message" && taken.replies[0]?.result === "done")
		hold(6, there.includes(event.messageId), () => {
			return `${said()} accepted ${event.messageId}, which is nowhere`;
		});
}

/** A run leaves with a record that says how, and only by an event that is its own or stops its generation. */
function checkRuns(taken: Step, said: () => string): void {
	const { before, after, runs, generations, stops } = taken;
	const left = unsettledOf(after).map(ticketId);
	for (const run of unsettledOf(before)) {
		if (left.some((id) => id === ticketId(run))) continue;
		const records = runs.filter(
			(one) => ticketId(one) === ticketId(run) && one.outcome !== null,
		);
		hold(2, records.length === 1, () => {
			return `${said()} let run ${run.runId} go with ${records.length} records of its end; one is right`;
		});
	}
	if (after.generation !== before.generation) {
		const ended = generations.filter(
			({ generation }) => generation === before.generation,
		);
		hold(2, ended.length === 1, () => {
			return `${said()} ended generation ${before.generation} with ${ended.length} archives of it; one is right`;
		});
		const told = new Set(stops.map(({ run }) => ticketId(run)));
		for (const run of unsettledOf(before))
			hold(4, told.has(ticketId(run)), () => {
				return `${said()} left run ${run.runId} of generation ${run.generation} without a stop`;
			});
	}
	for (const { run } of after.draining)
		hold(4, run.stop !== null && run.generation < after.generation, () => {
			return `${said()} has run ${run.runId} draining that was not told to stop, or is of this generation`;
		});
}

/** What is true of facts by themselves. */
export function checkFacts(facts: SessionFacts): void {
	const row = rowOf(facts);
	const { status, hasActiveRun } = row;
	hold(
		3,
		hasActiveRun === (status === "running" || status === "waiting"),
		() => {
			return `status is ${status}, and hasActiveRun ${hasActiveRun}`;
		},
	);
	hold(3, row.waits.length > 0 === (status === "waiting"), () => {
		return `status is ${status}, with ${row.waits.length} open waits`;
	});
	hold(5, !(facts.run && isDraining(facts)), () => {
		return `run ${facts.run?.runId} is live while the session drains`;
	});
	hold(
		1,
		(facts.run?.generation ?? facts.generation) === facts.generation,
		() => {
			return `run ${facts.run?.runId} of generation ${facts.run?.generation} is live in generation ${facts.generation}`;
		},
	);
	hold(
		6,
		facts.retries.every(({ messageIds }) =>
			messageIds.some((id) => facts.queue.some((one) => one.messageId === id)),
		),
		() => "a run is to be tried again of which no message is in line",
	);
}

// ── the fence

const at = 1000;

/** What could be said in the name of a run. */
function saidBy(ticket: RunTicket): readonly SessionEvent[] {
	const end = { at, outcome: "completed" } as const;
	const common = { at, ticket };
	const report = { ...ticket, startedAt: at };
	return [
		{ ...common, type: "settled", end },
		{ ...common, type: "settled", end: { at, outcome: "failed", error: "x" } },
		{ ...common, type: "overdue" },
		{ ...common, type: "rotate", sessionId: "s98" },
		{ ...common, type: "append", entry: 1 },
		{ ...common, type: "wait", name: "w", deadline: null },
		{ ...common, type: "unwait", name: "w" },
		{ ...common, type: "answer", name: "w", value: 1 },
		{ ...common, type: "deliver", name: "d" },
		{ ...common, type: "delivered", name: "d", status: "done", result: 1 },
		{ ...common, type: "pull" },
		{ ...common, type: "alive" },
		{ at, type: "report", report: { ...report, phase: "start" } },
		{ at, type: "report", report: { ...report, phase: "end" } },
		{
			at,
			type: "report",
			report: { ...report, phase: "error", error: "x" },
		},
		{
			...common,
			type: "abort",
			cause: "timeout",
			reason: null,
			deadline: at,
			queued: "keep",
		},
	];
}

/** Tickets that are nobody's, each one step away from one that is. */
function strangersOf(facts: SessionFacts): readonly RunTicket[] {
	const known = [...unsettledOf(facts), ...facts.reservations];
	const some: RunTicket = {
		sessionKey: facts.sessionKey,
		sessionId: facts.sessionIds.at(-1) ?? "s97",
		generation: facts.generation,
		runId: "r97",
		attempt: 1,
	};
	return [
		some,
		...known.flatMap((run) => {
			const own = ticketOf(run);
			return [
				{ ...own, generation: own.generation - 1 },
				{ ...own, generation: own.generation + 1 },
				{ ...own, attempt: own.attempt + 1 },
				{ ...own, runId: "r97" },
				{ ...own, sessionId: "s97" },
				{ ...own, sessionKey: "another" },
			];
		}),
	];
}

/** 1: what is not a run's own does nothing, and what is its own is never taken for somebody else's. */
export function checkFence(machine: SessionMachine, facts: SessionFacts): void {
	for (const ticket of strangersOf(facts))
		for (const event of saidBy(ticket)) {
			// An answer names its run by id and generation alone, a person has no more.
			if (event.type === "answer" && namesRun(facts, ticket)) continue;
			const { after, start } = step(machine, facts, event);
			hold(1, after === facts && start === null, () => {
				return `${event.type} of ${describe(ticket)}, which is no run of this session, changed it`;
			});
		}
	const { run } = facts;
	if (run) checkOwn(machine, facts, run);
	for (const { run: draining } of facts.draining)
		for (const type of ["settled", "overdue"] as const) {
			const { after } = step(machine, facts, endOf(type, ticketOf(draining)));
			hold(1, after.draining.length === facts.draining.length - 1, () => {
				return `${type} of ${describe(draining)}, which drains, did not settle it`;
			});
			hold(1, isSameHere(facts, after), () => {
				return `${type} of ${describe(draining)} changed the generation after its own`;
			});
		}
}

function namesRun(facts: SessionFacts, ticket: RunTicket): boolean {
	return [facts.run, ...facts.retries].some(
		(run) =>
			run?.runId === ticket.runId && run.generation === ticket.generation,
	);
}

function endOf(
	type: "settled" | "overdue",
	ticket: RunTicket,
): Extract<SessionEvent, { type: "settled" | "overdue" }> {
	return type === "overdue"
		? { type, at, ticket }
		: { type, at, ticket, end: { at, outcome: "completed" } };
}

/** Whether nothing of the living generation differs. */
function isSameHere(facts: SessionFacts, after: SessionFacts): boolean {
	return (
		after.generation === facts.generation &&
		after.run === facts.run &&
		after.last === facts.last &&
		after.inputTokens === facts.inputTokens &&
		after.outputTokens === facts.outputTokens &&
		after.meta === facts.meta &&
		after.queue === facts.queue
	);
}

/** The live run's own word counts, under every session id that it has had. */
function checkOwn(
	machine: SessionMachine,
	facts: SessionFacts,
	run: RunFacts,
): void {
	for (const sessionId of run.sessionIds) {
		const ticket = { ...ticketOf(run), sessionId };
		for (const event of saidBy(ticket)) {
			const { after, replies } = step(machine, facts, event);
			const [reply] = replies;
			const counts =
				after !== facts ||
				reply?.result === "known" ||
				reply?.result === "used" ||
				(reply?.result === "nothing" && event.type === "pull");
			hold(1, counts === mayCount(run, event), () => {
				return `${event.type} of ${describe(ticket)}, which is live${run.stop ? " and told to stop" : ""}, ${counts ? "counted" : "did not count"}`;
			});
		}
		for (const type of ["settled", "overdue"] as const)
			hold(
				1,
				step(machine, facts, endOf(type, ticket)).after.run === null,
				() => {
					return `${type} of ${describe(ticket)} did not end it`;
				},
			);
	}
}

/** Whether an event of the live run does anything. */
function mayCount(run: RunFacts, event: SessionEvent): boolean {
	switch (event.type) {
		case "rotate":
		case "wait":
		case "deliver":
		case "pull":
			return run.stop === null;
		case "unwait":
			return openWaits(run).length > 0;
		case "answer":
			return (
				(run.stop === null || run.stop.cause === "shutdown") &&
				run.waits.some(({ name }) => name === event.name)
			);
		case "report":
			return (
				run.driver === "host" &&
				!(event.report.phase === "start" && run.startedAt !== null)
			);
		case "delivered":
		case "append":
		case "alive":
		case "settled":
		case "overdue":
		case "abort":
			return true;
		default:
			return false;
	}
}

function describe({
	runId,
	generation,
	attempt,
	...rest
}: {
	readonly runId: string;
	readonly generation: number;
	readonly attempt: number;
	readonly sessionId?: string;
}): string {
	const sessionId = rest.sessionId ? `, session ${rest.sessionId}` : "";
	return `run ${runId} (generation ${generation}, attempt ${attempt}${sessionId})`;
}

// ── the ways out

/** 4 and 8: whatever the state, a reset or a delete is done and comes to rest, and a run that nothing else ends is got rid of. */
export function checkWaysOut(
	machine: SessionMachine,
	facts: SessionFacts,
): void {
	const stop = {
		at,
		reason: null,
		deadline: at,
		queued: "keep",
		hook: true,
	} as const;
	const reset = step(machine, facts, {
		...stop,
		type: "reset",
		cause: "reset",
		sessionId: "s98",
		meta: {},
	});
	hold(4, reset.replies[0]?.result === "done", () => {
		return `a reset in ${stateOf(facts)} was answered '${reset.replies[0]?.result}'`;
	});
	hold(4, reset.after.run === null && !reset.after.hidden, () => {
		return `a reset in ${stateOf(facts)} left a run live, or no session`;
	});
	// A hidden generation is one that nobody has used yet.
	hold(
		4,
		reset.after.generation === facts.generation + (facts.hidden ? 0 : 1),
		() =>
			`a reset in ${stateOf(facts)} went from generation ${facts.generation} to ${reset.after.generation}`,
	);
	comesToRest(machine, reset.after);
	if (!facts.hidden)
		comesToRest(
			machine,
			step(machine, facts, { ...stop, type: "delete", purge: true }).after,
		);
	if (!facts.run) return;
	// A stop that was stored, and one whose commit failed.
	const stopped = step(machine, facts, {
		...stop,
		type: "abort",
		cause: "abort",
	});
	hold(8, stopped.replies[0]?.result === "done", () => {
		return `an abort in ${stateOf(facts)} was answered '${stopped.replies[0]?.result}'`;
	});
	const ticket = ticketOf(facts.run);
	for (const before of [stopped.after, facts]) {
		const { after } = step(machine, before, {
			...endOf("overdue", ticket),
			stoppedBy: "abort",
		} as SessionEvent);
		hold(
			"liveness",
			after.run === null && after.last?.outcome === "abandoned",
			() => {
				return `a run whose grace period is over stays live in ${stateOf(before)}`;
			},
		);
	}
}

function comesToRest(machine: SessionMachine, facts: SessionFacts): void {
	let now = facts;
	for (const { run } of facts.draining)
		now = step(machine, now, endOf("overdue", ticketOf(run))).after;
	for (const { generation } of facts.closing)
		now = step(machine, now, { type: "closed", at, generation }).after;
	hold("liveness", !isDraining(now) && now.purgeBefore === null, () => {
		return `a generation ended in ${stateOf(facts)}, all of it settled, and the session is still ${statusOf(now)}`;
	});
}

// ── the answers

/** 2: who expects another session is told so and changes nothing, who expects this one is never told so; what there is no room for is refused. */
export function checkAnswers(
	machine: SessionMachine,
	facts: SessionFacts,
): void {
	const here = facts.hidden ? 0 : facts.generation;
	const asked = commandsOf(facts);
	for (const event of asked) {
		const told = (generation: number) =>
			step(machine, facts, {
				...event,
				expect: { generation },
			} as SessionEvent);
		const other = told(here + 7);
		hold(2, isStale(other) && other.after === facts, () => {
			return `${event.type} in ${stateOf(facts)} expected another generation, and was answered '${other.replies[0]?.result}'`;
		});
		hold(2, !isStale(told(here)), () => {
			return `${event.type} in ${stateOf(facts)} expected this generation, and was told that it is another`;
		});
	}
	const isFree =
		facts.run === null && !isDraining(facts) && facts.queue.length === 0;
	const answer = (policy: Partial<Overlap>) =>
		step(machine, facts, messageOf(policy)).replies[0]?.result;
	hold(2, answer({ mode: "reject" }) === (isFree ? "done" : "busy"), () => {
		return `a message that is to be refused where it overlaps was answered '${answer({ mode: "reject" })}' in ${stateOf(facts)}`;
	});
	const isFull = facts.queue.length > 0;
	hold(2, answer({ capacity: 1 }) === (isFull ? "full" : "done"), () => {
		return `a message to a line with room for one was answered '${answer({ capacity: 1 })}' where ${facts.queue.length} wait`;
	});
	hold(2, answer({ capacity: 1, onFull: "drop-oldest" }) === "done", () => {
		return `a message that takes the place of the oldest was not accepted in ${stateOf(facts)}`;
	});
}

function isStale({ replies }: Step): boolean {
	return replies[0]?.result === "stale";
}

function messageOf(policy: Partial<Overlap>) {
	const whole = {
		mode: "enqueue",
		debounceMs: 0,
		capacity: 50,
		onFull: "reject",
	};
	return {
		type: "message",
		at,
		messageId: "m98",
		input: null,
		policy: { ...whole, ...policy } as Overlap,
		deadline: at,
		sessionId: "s98",
	} as const;
}

/** What is asked with an expectation. */
function commandsOf({ hidden }: SessionFacts): readonly SessionEvent[] {
	const stop = { at, reason: null, deadline: at, queued: "keep" } as const;
	return [
		messageOf({}),
		{
			type: "admit",
			at,
			runId: "r98",
			attempt: 1,
			reserve: false,
			givenSessionId: null,
			sessionId: "s98",
		},
		{ ...stop, type: "reset", cause: "reset", sessionId: "s98", meta: {} },
		{ ...stop, type: "delete", purge: false },
		...(hidden ? [] : [{ ...stop, type: "abort", cause: "abort" } as const]),
		{ type: "patch", at, patch: {} },
	];
}
