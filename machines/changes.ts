/** Owns how a transition of the session chart changes the facts, each change under its name. Pure: facts and an event in, facts out. */
import { accepted, as, next, settled } from "./effects.ts";
import type { SessionEvent } from "./events.ts";
import type { SessionFacts } from "./facts.ts";
import * as generation from "./generation.ts";
import * as life from "./lifecycle.ts";
import * as line from "./line.ts";
import { requeue } from "./retry.ts";

export type Change = (facts: SessionFacts, event: SessionEvent) => SessionFacts;

/** An event that is itself a step of the live run. */
const liveStep =
	<Type extends "wait" | "unwait" | "deliver" | "alive">(): Change =>
	(facts, event) =>
		life.stepLive(facts, event, as<Type>(event));

export const changes = {
	begin: (facts, event) => {
		const lined = accepted(facts, event);
		return line.take(lined, next(lined, event), event);
	},
	accept: accepted,
	take: (facts, event) => line.take(facts, next(facts, event), event),
	interrupt: (facts, event) =>
		generation.interrupt(facts, as<"message">(event)),
	pull: (facts, event) => line.pull(facts, as<"pull">(event)),
	edit: (facts, event) => line.edit(facts, as<"edit">(event)),
	remove: (facts, event) =>
		line.without(
			life.touch(facts, event),
			({ messageId }) => messageId === as<"remove">(event).messageId,
		),
	touch: life.touch,
	reserve: (facts, event) => life.reserve(facts, as<"admit">(event)),
	admit: (facts, event) => life.admit(facts, as<"admit">(event)),
	startReserved: (facts, event) =>
		life.startReserved(facts, as<"report">(event)),
	noteStart: (facts, event) => life.noteStart(facts, as<"report">(event)),
	leave: (facts, event) =>
		line.putBack(
			life.leave(facts, as<"settled">(event), settled(facts, event)),
			life.unreadOf(facts, as<"settled" | "overdue">(event)),
		),
	requeue: (facts, event) =>
		requeue(facts, as<"settled">(event), settled(facts, event)),
	append: (facts, event) => life.append(facts, as<"append">(event)),
	wait: liveStep<"wait">(),
	unwait: liveStep<"unwait">(),
	deliver: liveStep<"deliver">(),
	noteAlive: liveStep<"alive">(),
	answer: (facts, event) => life.answer(facts, as<"answer">(event)),
	noteDelivery: (facts, event) =>
		life.noteDelivery(facts, as<"delivered">(event)),
	rotate: (facts, event) => life.rotate(facts, as<"rotate">(event)),
	countUsage: (facts, event) => life.countUsage(facts, as<"usage">(event)),
	stopLive: (facts, event) => generation.stopLive(facts, as<"abort">(event)),
	cancelReservation: (facts, event) =>
		generation.cancelReservation(facts, as<"abort">(event)),
	dropWaiting: (facts, event) =>
		generation.dropWaiting(facts, as<"abort">(event)),
	closed: (facts, event) => generation.closed(facts, as<"closed">(event)),
	postponed: (facts, event) =>
		generation.postponed(facts, as<"postponed">(event)),
	mint: (facts, event) => generation.mint(facts, as<"reset" | "delete">(event)),
	openByReset: (facts, event) =>
		generation.openByReset(facts, as<"reset">(event)),
	deleteAgain: (facts, event) =>
		generation.deleteAgain(facts, as<"delete">(event)),
	clearPurge: generation.purged,
	settleDraining: (facts, event) =>
		generation.settleDraining(facts, event, settled(facts, event)),
	startDraining: (facts, event) =>
		generation.startDraining(facts, as<"report">(event)),
	patchMeta: (facts, event) => life.patchMeta(facts, as<"patch">(event)),
	importFacts: (facts, event) => life.importFacts(facts, as<"import">(event)),
} satisfies Record<string, Change>;
