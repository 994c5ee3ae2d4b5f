/** What a process sees of a run whose session is an object of Restate. */
import { expect, test } from "vitest";
import type { RunView } from "../../src/restate/protocol.ts";
import { RunLife } from "../../src/restate/remote-run.ts";

const ticket = {
	sessionKey: "k",
	sessionId: "s",
	generation: 1,
	runId: "R",
	attempt: 1,
};
const view: RunView = {
	version: 5,
	sessionId: "s",
	stop: null,
	isOver: false,
	leaseMs: null,
	waits: [],
	answers: [],
	steering: 0,
	row: null as never,
};

test("an older view tells nothing", () => {
	const life = new RunLife(ticket, view);
	const stop = { cause: "abort", reason: null } as const;
	life.see({ ...view, version: 4, stop });
	expect(life.signal.aborted).toBe(false);
	life.see({ ...view, version: 6, stop });
	expect(life.signal.reason).toMatchObject({ by: "abort" });
});

test("a run that is over is over, also in a session that was purged and counts its versions anew", () => {
	const life = new RunLife(ticket, view);
	const stop = { cause: "delete", reason: null } as const;
	life.see({ ...view, version: 1, isOver: true, stop });
	life.see({ ...view, version: 6 });
	expect(life.view.isOver).toBe(true);
	expect(life.signal.reason).toMatchObject({ by: "delete" });
});
