import { expect, test } from "vitest";
import { names } from "./contender.ts";
import { figures, readingOf } from "./figures.ts";
import { pointsOf } from "./plot.ts";
import { figuresText, withFigures } from "./readme.ts";
import { type GroupResult, Results } from "./results.ts";
import { groupTable } from "./table.ts";
import type { Sample } from "./workload.ts";
import { workloadNamed, workloadNames } from "./workloads/all.ts";

const machine = { node: "v24", cpu: "a CPU", cores: 2 };

function group(
	workload: string,
	name: string,
	contenders: Readonly<Record<string, readonly Sample[]>>,
): GroupResult {
	return {
		workload,
		name,
		what: "something is done",
		job: { sessions: 1000 },
		measures: [{ name: "turns", unit: "turns/s", better: "more" }],
		rounds: 3,
		fsync: { appends: 200, medianMs: 0.25, p99Ms: 1 },
		contenders: Object.entries(contenders).map(([contender, samples]) => ({
			name: contender,
			samples,
			absent: samples.length === 0 ? "it was not there" : null,
		})),
	};
}

const of = (...numbers: number[]) => numbers.map((turns) => ({ turns }));

function turns(ours: readonly Sample[]): Results {
	return new Results("normal", machine, [
		group("turns", "turns, 1,000 sessions", {
			[names.plain]: of(100, 200, 400),
			[names.full]: ours,
		}),
	]);
}

const durable = figures.find(({ id }) => id === "durable");
if (!durable) throw new Error("there is no figure of durable turns");

test("a figure is the median of the ratios round by round, not the ratio of medians", () => {
	expect(readingOf(durable, turns(of(70, 140, 100)))).toMatchObject({
		measured: "0.70",
		isMet: true,
	});
});

test("a goal is missed by a hundredth, and judged as it is shown", () => {
	expect(readingOf(durable, turns(of(59, 118, 236))).isMet).toBe(false);
	expect(readingOf(durable, turns(of(59.6, 119.2, 238.4)))).toMatchObject({
		measured: "0.60",
		isMet: true,
	});
});

test("what was not played is not measured, and neither met nor missed", () => {
	expect(readingOf(durable, turns([]))).toMatchObject({
		measured: "not measured",
		isMet: null,
	});
});

test("a figure of two numbers is met by both", () => {
	const chain = figures.find(({ id }) => id === "chain");
	if (!chain) throw new Error("there is no figure of the chain");
	const results = (grouped: number) =>
		new Results("normal", machine, [
			group("turns", "turns, 1,000 sessions", {
				[names.chainEach]: of(10),
				[names.chainGrouped]: of(grouped),
				[names.full]: of(80),
			}),
		]);
	expect(readingOf(chain, results(100))).toMatchObject({
		measured: "8.00; 0.80",
		isMet: true,
	});
	expect(readingOf(chain, results(110)).isMet).toBe(false);
});

test("figures have ids of their own and are of workloads that there are", () => {
	expect(new Set(figures.map(({ id }) => id)).size).toBe(15);
	for (const { workload } of figures) expect(workloadNames).toContain(workload);
});

test("every group that a figure asks for is one that its workload plays, with the contenders and measures asked for", async () => {
	for (const size of ["tiny", "normal", "full"] as const) {
		const groups: GroupResult[] = [];
		for (const name of workloadNames)
			for (const one of (await workloadNamed(name)).groups(size))
				groups.push({
					...group(name, one.name, {}),
					contenders: one.contenders.map((contender) => ({
						name: contender,
						samples: [
							Object.fromEntries(one.measures.map((each) => [each.name, 1])),
						],
						absent: null,
					})),
				});
		const results = new Results(size, machine, groups);
		for (const figure of figures)
			expect(readingOf(figure, results)).toMatchObject({
				isMet: expect.any(Boolean),
			});
	}
});

test("the README gets the table between its marks, with the command, and nothing else of it changes", () => {
	const text =
		"before\n<!-- what `npm run bench` printed last -->\nold $1\n<!-- / -->\nafter\n";
	const told = withFigures(text, turns(of(70, 140, 280)), "npm run bench");
	expect(told).toMatch(/^before\n<!-- what/);
	expect(told).toMatch(/<!-- \/ -->\nafter\n$/);
	expect(told).not.toContain("old");
	expect(told).toContain("`npm run bench`:");
	expect(told).toContain("| ≥ 0.6, aim 0.8 | 0.70 | yes |");
	expect(told).toContain("one fsync 0.25–0.25 ms");
	expect(() => withFigures("no marks", turns([]), "npm run bench")).toThrow(
		"no place",
	);
});

test("tables name the fsync, the Node, the cores and the rounds they were measured with", () => {
	const results = turns([]);
	const [one] = results.groups;
	if (!one) throw new Error("there is no group");
	for (const table of [
		groupTable(one, machine, "normal"),
		figuresText(results),
	]) {
		expect(table).toContain("0.25");
		expect(table).toContain("v24, 2 cores");
		expect(table).toContain("3 rounds");
	}
	expect(groupTable(one, machine, "normal")).toContain(
		`left out: ${names.full} (it was not there)`,
	);
});

test("the plot shows the contenders that were there", () => {
	expect(pointsOf(turns([]))).toEqual([
		{
			contender: names.plain,
			sessions: "1,000",
			turns: 200,
			least: 100,
			most: 400,
		},
	]);
});
