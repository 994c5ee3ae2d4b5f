/** The evening of `examples/seed`: the same door, agent and model; what each host makes of an error that comes too late. */
import { expect, test } from "vitest";
import { evening } from "../../examples/seed/evening.ts";

test("the fresh session of the plain host fails and falls silent; on turnkeeper it answers", async () => {
	let archived: unknown;
	const steps = await evening(async (runtime) => {
		const [row] = (await runtime.list()).items;
		archived = (await runtime.archive(row?.sessionKey ?? "")).items;
	});
	const begun = ["A new session begins here."];
	const error = "terminated";
	expect(steps).toEqual([
		{
			what: "ada: hello",
			plain: { status: "ended", error: null, said: ['You said "hello".'] },
			keeper: { status: "ended", error: null, said: ['You said "hello".'] },
		},
		{
			what: "ada: explain everything",
			plain: { status: "running", error: null, said: [] },
			keeper: { status: "running", error: null, said: [] },
		},
		{
			what: "ada: /new",
			plain: { status: "idle", error: null, said: begun },
			keeper: { status: "resetting", error: null, said: begun },
		},
		{
			what: "(the old run breaks, too late)",
			plain: { status: "failed", error, said: [] },
			keeper: { status: "idle", error: null, said: [] },
		},
		{
			what: "ada: hello again",
			plain: { status: "failed", error, said: [] },
			keeper: {
				status: "ended",
				error: null,
				said: ['You said "hello again".'],
			},
		},
	]);
	expect(archived).toMatchObject([
		{
			generation: 1,
			endedBy: "reset",
			runs: [{ outcome: "aborted", error }, {}],
		},
	]);
});
