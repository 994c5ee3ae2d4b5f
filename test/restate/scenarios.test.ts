/** The scenarios of the catalogue of races (`test/races`) on a real Restate server, step by step, on a clock that stands still. */
import { readdirSync } from "node:fs";
import {
	afterAll,
	afterEach,
	beforeAll,
	beforeEach,
	expect,
	test,
} from "vitest";
import { playElsewhere } from "../races/scenario.ts";
import { mostLeftOut } from "./not-played.ts";
import { RaceStage } from "./race-stage.ts";

/** A share of them every time; `all` plays each, and names of categories (`RACES=SE,QM`) play theirs. */
const { RACES } = process.env;
const share = RACES ? 1 : 8;
/** Those that have found a fault are played every time. */
const always = ["AB-16", "AC-08", "CR-11", "SR-19", "SR-20", "TM-14"];

const stage = new RaceStage();
playElsewhere(stage);
beforeAll(() => stage.open());

let count = 0;
beforeEach((scenario) => {
	count += 1;
	const isAlways = always.some((id) => scenario.task.name.startsWith(id));
	if (count % share > 0 && !isAlways) scenario.skip("RACES=all plays it");
	stage.enter(scenario);
});
afterEach(() => {
	expect(stage.faults.splice(0)).toEqual([]);
});
afterAll(() => stage[Symbol.asyncDispose]());

const categories = readdirSync(new URL("../races", import.meta.url))
	.filter((name) => /^[a-z]{2}\.test\.ts$/.test(name))
	.map((name) => name.slice(0, 2));
const chosen = categories.filter(
	(category) =>
		!RACES ||
		RACES === "all" ||
		RACES.split(",").includes(category.toUpperCase()),
);
for (const category of chosen) await import(`../races/${category}.test.ts`);

test.runIf(RACES === "all")("no more are left out than is said", () => {
	expect([...stage.leftOut]).toHaveLength(mostLeftOut);
});
