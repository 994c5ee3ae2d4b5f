import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import manifest from "../../package.json" with { type: "json" };
import { runProgram } from "../support/program.ts";
import { root } from "./page.ts";

test("the API reference has every entry point by its name, and nothing in it is missing or leads nowhere", async () => {
	const folder = mkdtempSync(join(tmpdir(), "turnkeeper-api-"));
	onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
	const json = join(folder, "api.json");
	const ended = await runProgram(
		join(root, "node_modules", "typedoc", "bin", "typedoc"),
		{
			args: ["--out", join(folder, "api"), "--json", json],
			cwd: root,
		},
	);
	expect(ended).toMatchObject({ code: 0, stderr: "" });
	const { children } = JSON.parse(readFileSync(json, "utf8")) as {
		readonly children: readonly { readonly name: string }[];
	};
	const entryPoints = Object.keys(manifest.exports)
		.filter((path) => path !== "./package.json")
		.map((path) => manifest.name + path.slice(1));
	expect(children.map(({ name }) => name).sort()).toEqual(entryPoints.sort());
}, 180_000);
