/** The short way through the chart: what it relies on. That each step is XState's own is seen where the machine is explored. */
import { sessionMachine } from "turnkeeper/machines";
import { explore } from "turnkeeper/testing";
import { expect, test } from "vitest";
import { bothWays } from "../support/both-ways.ts";

test("the chart is flat: nothing but events, guards, actions and targets", () => {
	const { root } = sessionMachine;
	const nodes = [root, ...Object.values(root.states)];
	expect(nodes.length).toBeGreaterThan(5);
	for (const node of nodes) {
		expect(node.entry, node.id).toEqual([]);
		expect(node.exit, node.id).toEqual([]);
		expect(node.invoke, node.id).toEqual([]);
		expect(node.after, node.id).toEqual([]);
		if (node !== root) expect(node.type, node.id).toBe("atomic");
		for (const type of node.transitions.keys())
			expect(type, node.id).not.toContain("*");
	}
	for (const target of nodes.flatMap((node) =>
		[...node.transitions.values(), node.always ?? []]
			.flat()
			.map((transition) => transition.target ?? []),
	))
		expect(target.length).toBeLessThan(2);
});

test("a machine that goes another way is found out", async () => {
	const other = sessionMachine.provide({
		guards: { mayTake: () => false },
	});
	const { violation } = await explore({
		bounds: { runs: 2 },
		machine: bothWays(other),
	});
	expect(violation?.message).toContain("the short way");
});
