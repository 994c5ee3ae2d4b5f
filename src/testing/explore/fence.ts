/**
 * Owns promise 1 as it is asked of any facts: what is not a run's own does nothing, and what is its own is never taken for somebody else's.
 */
import type { SessionEvent } from "../../../machines/events.ts";
import type { SessionFacts } from "../../../machines/facts.ts";
import { openWaits, type RunFacts, ticketOf } from "../../../machines/run.ts";
import type { RunTicket } from "../../../machines/ticket.ts";
import { at, hold, unsettledOf } from "./promises.ts";
import { type SessionMachine, step } from "./step.ts";

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
		checkDraining(machine, facts, draining);
	checkUsage(machine, facts);
}

/** What drains settles by its own word, and touches nothing of the generation after its own. */
function checkDraining(
	machine: SessionMachine,
	facts: SessionFacts,
	run: RunFacts,
): void {
	const ticket = ticketOf(run);
	const ends: SessionEvent[] = [
		endOf("settled", ticket),
		endOf("overdue", ticket),
	];
	const isHosts = run.driver === "host";
	if (isHosts)
		ends.push({ type: "report", at, report: { ...ticket, phase: "end" } });
	for (const event of ends) {
		const { after } = step(machine, facts, event);
		hold(1, after.draining.length === facts.draining.length - 1, () => {
			return `${event.type} of ${describe(ticket)}, which drains, did not settle it`;
		});
		hold(1, isSameHere(facts, after), () => {
			return `${event.type} of ${describe(ticket)} changed the generation after its own`;
		});
	}
	if (!isHosts || run.startedAt !== null) return;
	const { after } = step(machine, facts, {
		type: "report",
		at,
		report: { ...ticket, phase: "start" },
	});
	hold(1, after !== facts && isSameHere(facts, after), () => {
		return `the start of ${describe(ticket)}, which drains, was lost, or changed the generation after its own`;
	});
}

/** Tokens go to the generation that owns the run, whatever has become of that. */
function checkUsage(machine: SessionMachine, facts: SessionFacts): void {
	if (facts.hidden) return;
	const owners = [...unsettledOf(facts), ...facts.reservations].map(ticketOf);
	const gone = { ...(strangersOf(facts)[0] as RunTicket) };
	for (const ticket of [...owners, gone]) {
		const event = {
			type: "usage",
			at,
			ticket,
			inputTokens: 3,
			outputTokens: 5,
		} as const;
		const { after } = step(machine, facts, event);
		const isHere = ticket.generation === facts.generation;
		hold(1, after.inputTokens === facts.inputTokens + (isHere ? 3 : 0), () => {
			return `usage of ${describe(ticket)} made ${after.inputTokens} input tokens of ${facts.inputTokens} in generation ${facts.generation}`;
		});
		const counted = (one: SessionFacts) =>
			[...unsettledOf(one), ...one.reservations].reduce(
				(sum, run) => sum + run.outputTokens,
				0,
			);
		hold(
			1,
			counted(after) === counted(facts) + (ticket === gone ? 0 : 5),
			() => {
				return `usage of ${describe(ticket)} was not counted once by its run`;
			},
		);
	}
}

function namesRun(facts: SessionFacts, ticket: RunTicket): boolean {
	return [facts.run, ...facts.retries].some(
		(run) =>
			run?.runId === ticket.runId && run.generation === ticket.generation,
	);
}

export function endOf(
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
