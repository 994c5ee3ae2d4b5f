/** Owns what the session chart asks before a transition, each question under its name. Pure: facts and an event in, yes or no out. */
import {
	answerTo,
	as,
	expectOf,
	mayAct,
	ownsLive,
	says,
	settled,
	type Ticketed,
} from "./effects.ts";
import type { SessionEvent } from "./events.ts";
import { isDraining, mismatchOf, type SessionFacts } from "./facts.ts";
import * as life from "./lifecycle.ts";
import * as line from "./line.ts";
import { isTriedAgain } from "./retry.ts";
import { deliveryOf, openWaits, ownsRun, type RunFacts } from "./run.ts";

export type Guard = (facts: SessionFacts, event: SessionEvent) => boolean;

export const guards = {
	expectsOther: (facts, event) => mismatchOf(facts, expectOf(event)) !== null,
	isHidden: ({ hidden }) => hidden,
	isUnused: ({ hidden, version }) => hidden && version === 0,
	// messages
	mayBegin: (facts, event) =>
		typeof event.grant === "string" &&
		facts.queue.length === 0 &&
		as<"message">(event).policy.debounceMs === 0 &&
		mismatchOf(facts, expectOf(event)) === null,
	// What waits for a deleted session waits for its next use.
	mayTake: ({ queue, hidden, quietUntil }, event) =>
		queue.length > 0 &&
		!hidden &&
		typeof event.grant === "string" &&
		(event.at >= quietUntil || as<"take">(event).quietUntil === quietUntil),
	// One that comes with a reset is never refused: the reset is of the same commit.
	refusesOverlap: (facts, event) =>
		as<"message">(event).policy.mode === "reject" &&
		as<"message">(event).front !== "reset" &&
		(facts.run !== null || isDraining(facts) || facts.queue.length > 0),
	queueIsFull: (facts, event) => line.isFull(facts, as<"message">(event)),
	interruptsLive: (facts, event) =>
		line.interrupts(as<"message">(event)) &&
		!line.isFull(facts, as<"message">(event)) &&
		mismatchOf(facts, expectOf(event)) === null,
	isSteered: (facts, event) =>
		line.steeringFor(facts, as<"pull">(event)) !== null,
	waitsInLine: (facts, event) =>
		line.waitingMessage(facts, as<"edit" | "remove">(event).messageId) !==
		undefined,
	goesBeforeOther: (facts, event) => {
		const { messageId, before } = as<"edit">(event);
		return (
			typeof before === "string" &&
			line.waitingMessage(facts, messageId) !== undefined &&
			line.waitingMessage(facts, before) === undefined
		);
	},
	// admissions
	isLiveAgain: ({ run }, event) =>
		run?.driver === "host" && run.runId === as<"admit">(event).runId,
	isReservedAgain: ({ reservations }, event) => {
		const { reserve, runId } = as<"admit">(event);
		return reserve && reservations.some((run) => run.runId === runId);
	},
	reserves: (_, event) => as<"admit">(event).reserve,
	isTaken: (facts) => facts.run !== null || isDraining(facts),
	// reports
	reportStartsRun: (facts, event) => says(facts, event, "applied", "start"),
	reportFailsRun: (facts, event) =>
		says(facts, event, "applied", "terminal") &&
		settled(facts, event).outcome === "failed",
	reportEndsRun: (facts, event) => says(facts, event, "applied", "terminal"),
	reportStartsDrainingRun: (facts, event) =>
		says(facts, event, "archived", "start"),
	reportEndsDrainingRun: (facts, event) =>
		says(facts, event, "archived", "terminal"),
	// the fence
	ownsLiveRun: ownsLive,
	mayAct: mayAct,
	liveRunFailed: (facts, event) =>
		ownsLive(facts, event) && settled(facts, event).outcome === "failed",
	ownsDrainingRun: ({ draining }, event) =>
		draining.some(({ run }) => ownsRun(run, as<Ticketed>(event).ticket)),
	ownsReservation: ({ reservations }, event) =>
		reservations.some((run) => ownsRun(run, as<Ticketed>(event).ticket)),
	ownsUnsettledRun: (facts, event) =>
		ownsLive(facts, event) ||
		facts.retries.some((run) => ownsRun(run, as<Ticketed>(event).ticket)) ||
		facts.draining.some(({ run }) => ownsRun(run, as<Ticketed>(event).ticket)),
	isOfThisGeneration: ({ hidden, generation }, event) =>
		!hidden && as<"usage">(event).ticket.generation === generation,
	// Its archived row is written again when what drains has settled.
	isOfDrainingGeneration: ({ draining }, event) =>
		draining.some(
			({ run }) => run.generation === as<"usage">(event).ticket.generation,
		),
	// what a run owns
	isAnswered: (facts, event) =>
		mayAct(facts, event) && answerTo(facts, event) !== undefined,
	answersLastWait: (facts, event) => {
		const run = life.answeredRun(facts, as<"answer">(event));
		return (
			run !== null &&
			run === facts.run &&
			openWaits(run).every((name) => name === as<"answer">(event).name)
		);
	},
	answersWait: (facts, event) =>
		life.answeredRun(facts, as<"answer">(event)) !== null,
	answersOther: (facts, event) =>
		life.askedRun(facts, as<"answer">(event)) === undefined,
	isLastWait: (facts, event) =>
		ownsLive(facts, event) &&
		openWaits(facts.run as RunFacts).every(
			(name) => name === as<"unwait">(event).name,
		),
	hasUsedName: (facts, event) => {
		if (!mayAct(facts, event)) return false;
		const run = facts.run as RunFacts;
		const { name, unbegun } = as<"deliver">(event);
		return !unbegun && deliveryOf(run, name)?.attempt === run.attempt;
	},
	hasDelivered: (facts, event) =>
		mayAct(facts, event) &&
		deliveryOf(facts.run as RunFacts, as<"deliver">(event).name)?.status ===
			"done",
	isTriedAgain: (facts, event) =>
		ownsLive(facts, event) &&
		isTriedAgain(settled(facts, event), as<"settled">(event)),
	isClosing: ({ closing }, event) =>
		closing.some(
			({ generation }) => generation === as<"closed">(event).generation,
		),
	isClosingInTime: ({ closing }, event) =>
		closing.some(
			({ generation, postponed }) =>
				!postponed && generation === as<"postponed">(event).generation,
		),
	// stopping
	stopsThis: (facts, event) => {
		const { ticket, expect } = as<"abort">(event);
		return (
			(!ticket || (facts.run !== null && ownsRun(facts.run, ticket))) &&
			mismatchOf(facts, expect) === null
		);
	},
	stopsOther: (facts, event) => {
		const { ticket, expect } = as<"abort">(event);
		return ticket !== undefined || mismatchOf(facts, expect) !== null;
	},
	namesWaiting: (facts, event) => {
		const { messageId, ...rest } = as<"abort">(event).expect ?? {};
		return (
			messageId !== undefined &&
			line.waitingMessage(facts, messageId) !== undefined &&
			mismatchOf(facts, rest) === null
		);
	},
	namesReservation: (facts, event) => {
		const { runId, ...rest } = as<"abort">(event).expect ?? {};
		return (
			facts.reservations.some((run) => run.runId === runId) &&
			mismatchOf(facts, rest) === null
		);
	},
	dropsWaiting: ({ queue, retries }, event) =>
		retries.length > 0 ||
		(as<"abort">(event).queued === "drop" && queue.length > 0),
	deletesAgain: (facts, event) =>
		facts.hidden &&
		facts.version > 0 &&
		(as<"delete">(event).purge || isDraining(facts) || facts.queue.length > 0),
	hasDrained: (facts) => !isDraining(facts),
	hasDrainedToPurge: (facts) =>
		!isDraining(facts) && facts.purgeBefore !== null,
	// the host's own fields
	metaMoved: ({ meta }, event) => {
		const { seen } = as<"patch">(event);
		return (
			seen !== undefined &&
			seen !== meta &&
			JSON.stringify(seen) !== JSON.stringify(meta)
		);
	},
} satisfies Record<string, Guard>;
