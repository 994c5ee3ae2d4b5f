/** The gallery is one page that needs nothing else, and misses no scenario. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { late, race } from "turnkeeper/testing";
import { describe, expect, test } from "vitest";
import type { Drawing } from "./drawings.ts";
import { missing, pageOf } from "./gallery.ts";
import { type Index, readIndex } from "./index.ts";

const index: Index = {
	rows: [
		{
			id: "SC-01",
			category: "SC",
			thread: "owner/name#1 / #2",
			cause: "a < b",
			order: "1 this → 2 that",
			outcome: "what is right",
		},
		{
			id: "SC-02",
			category: "SC",
			thread: "owner/name#3",
			cause: "another",
			order: "1 this",
			outcome: "what is right",
		},
	],
	scenarios: [{ id: "SC-01", title: "a stop & a reset", file: "sc.test.ts" }],
	reasons: { "SC-02": "nothing of it is left." },
};

async function drawings(): Promise<readonly Drawing[]> {
	const trace = await race().run("a").reset().then(late("end"));
	return [
		{
			id: "SC-01",
			title: "a stop & a reset",
			file: "sc.test.ts",
			traces: [trace.toJSON(), trace.toJSON()],
		},
	];
}

describe("the gallery", () => {
	test("shows each row with what is in the catalogue, an anchor and its drawings, or why there is none", async () => {
		const page = pageOf(index, await drawings());
		expect(page).toContain('<details class="row" id="SC-01">');
		expect(page).toContain("a &#60; b");
		expect(page).toContain("<div>1 this</div><div>2 that</div>");
		expect(page).toContain('href="https://github.com/owner/name/issues/2"');
		expect(page).toContain('<figure id="SC-01-1">');
		expect(page.match(/<svg /g)).toHaveLength(2);
		expect(page).toContain("1 more take");
		expect(page).toContain("Not played: nothing of it is left.");
	});

	test("needs nothing from elsewhere", async () => {
		const page = pageOf(index, await drawings());
		expect(page).not.toMatch(/ src=|<link|@import|url\(|<img|<iframe/);
		for (const [, href] of page.matchAll(/href="([^"]*)"/g))
			expect(href).toMatch(/^#|^https:\/\/github\.com\//);
	});

	test("names each scenario that has no drawing", async () => {
		const all = await drawings();
		expect(missing(index, all)).toEqual([]);
		expect(missing(index, [])).toEqual([
			"SC-01 in sc.test.ts: 0 drawings of 1 scenarios",
		]);
	});

	test("has them all, because every scenario is played where its drawing is checked", () => {
		const files = new Set(readIndex().scenarios.map(({ file }) => file));
		for (const file of files) {
			const text = readFileSync(join(import.meta.dirname, file), "utf8");
			expect(text, file).toMatch(/^scenarios\(/m);
			expect(text, file).not.toContain("storeKinds");
		}
	});
});
