/**
 * Owns which promise each explored step and state is held to, by its number in the README. Throws where one does not hold; never decides what
 * happens next.
 */
import type { SessionEvent } from "../../../machines/events.ts";
import {
	isDraining,
	rowOf,
	type SessionFacts,
} from "../../../machines/facts.ts";
import type { RunFacts } from "../../../machines/run.ts";
import { stateOf } from "../../../machines/session.ts";
import { ticketId } from "../../../machines/ticket.ts";
import { Broken } from "./broken.ts";
import type { Step } from "./step.ts";

export function hold(
	promise: number | "liveness",
	holds: boolean,
	message: () => string,
): void {
	if (!holds) throw new Broken(promise, message());
}

/** The clock stands still; only the order of things counts. */
export const at = 1000;

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
