/**
 * Owns forced replay: loaded before a suite, it takes every session's actor away after each of its turns. The next turn begins with an actor
 * made of nothing but the facts, as they come back from JSON; and whenever all that a session decided is committed and nothing more is asked
 * of it, with one made of what the store holds. What a suite then sees differently, or a store that gives back other facts than it was
 * given, is a bug. Left alone while somebody watches the actors: to them each is one of its own.
 */
import { isDeepStrictEqual } from "node:util";
import { afterEach, expect } from "vitest";
import type { SessionFacts } from "../../machines/facts.ts";
import { Engine } from "../../src/engine.ts";
import type { LiveSession } from "../../src/session.ts";
import type { Turn } from "../../src/turn.ts";
import { replayed } from "./replayed-counts.ts";

const { made, committed, hydrated } = Engine.prototype;
/** Messages in line of a session that is left alone: to read thousands anew at every turn would take minutes. */
const longest = 50;
/** As last committed, for when it is read again. */
const known = new WeakMap<LiveSession, SessionFacts>();
const differences: { read: SessionFacts; committed: SessionFacts }[] = [];

Engine.prototype.made = function (turn: Turn) {
	if (!this.inspects(turn.session.key) && turn.after.queue.length <= longest) {
		if (turn.after !== turn.before) turn.after = throughJson(turn.after);
		turn.session.renew(turn.after);
		replayed.turns += 1;
	}
	made.call(this, turn);
};

Engine.prototype.committed = function (turns: readonly Turn[]) {
	committed.call(this, turns);
	for (const session of new Set(turns.map((turn) => turn.session))) {
		if (this.inspects(session.key)) continue;
		if (!session.actor || session.isBusy || !session.committed) continue;
		if (session.committed.queue.length > longest) continue;
		known.set(session, session.committed);
		session.passivate();
		replayed.readings += 1;
	}
};

Engine.prototype.hydrated = function (session: LiveSession) {
	const before = known.get(session);
	const read = session.committed;
	known.delete(session);
	if (before && read && before.version === read.version)
		if (!isDeepStrictEqual(throughJson(read), throughJson(before)))
			differences.push({ read, committed: before });
	hydrated.call(this, session);
};

function throughJson(facts: SessionFacts): SessionFacts {
	return JSON.parse(JSON.stringify(facts));
}

afterEach(() => {
	for (const { read, committed } of differences.splice(0))
		expect(throughJson(read)).toEqual(throughJson(committed));
});
