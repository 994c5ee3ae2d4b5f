/**
 * Runs in a process of its own, which may hang or die with a mutant: owns one vitest that stays, a copy of the sources to mutate, and
 * nothing of what is made of the results. Told by its parent what to try, one at a time.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import {
	createVitest,
	type Reporter,
	type TestModule,
	type TestSpecification,
} from "vitest/node";
import type { Said, Trial } from "./verdict.ts";

const [root] = process.argv.slice(2);
if (!root || !process.send)
	throw new Error("bench.ts is started by laboratory.ts, with a folder");
const say = (said: Said) => process.send?.(said);
const began = new Map<string, number>();
const nameOf = (moduleId: string) => relative(root, moduleId);

const heart: Reporter = {
	onTestModuleStart({ moduleId }) {
		began.set(moduleId, performance.now());
		say({ says: "began", file: nameOf(moduleId) });
	},
	onTestModuleEnd(module) {
		const { moduleId } = module;
		const ms = performance.now() - (began.get(moduleId) ?? 0);
		say({
			says: "ended",
			file: nameOf(moduleId),
			ms: Math.round(ms),
			passed: module.ok(),
		});
	},
};

/** Files run in the order in which they are asked. */
class AsAsked {
	shard(files: TestSpecification[]) {
		return files;
	}
	sort(files: TestSpecification[]) {
		return files;
	}
}

process.chdir(root);
const vitest = await createVitest(
	"test",
	{
		root,
		watch: false,
		api: false,
		reporters: [heart],
		// One process for all files of a trial: most of them take less time than a process does.
		isolate: false,
		fileParallelism: false,
		maxWorkers: 1,
		bail: 1,
		sequence: { sequencer: AsAsked },
	},
	{ server: { watch: null } },
);
const known = new Map<string, TestSpecification>();
for (const one of await vitest.globTestSpecifications())
	known.set(nameOf(one.moduleId), one);

process.on("message", async (trial: Trial) => {
	const path = join(root, trial.file);
	const original = readFileSync(path, "utf8");
	const write = (text: string) => {
		writeFileSync(path, text);
		vitest.invalidateFile(path);
	};
	if (trial.text !== null) write(trial.text);
	try {
		say({ says: "done", failed: await firstFailure(trial) });
	} finally {
		if (trial.text !== null) write(original);
	}
});
say({ says: "ready" });

async function firstFailure({ steps, goesOn }: Trial) {
	vitest.config.bail = goesOn ? 0 : 1;
	for (const { files, test, timeoutMs } of steps) {
		for (const { config } of vitest.projects) {
			config.testTimeout = timeoutMs;
			config.hookTimeout = timeoutMs;
		}
		const asked = files.flatMap((file) => known.get(file) ?? []);
		if (asked.length === 0) continue;
		if (test === undefined) vitest.resetGlobalTestNamePattern();
		else vitest.setGlobalTestNamePattern(new RegExp(`${escaped(test)}$`));
		const ids = new Set(asked.map(({ moduleId }) => moduleId));
		const { testModules, unhandledErrors } =
			await vitest.runTestSpecifications(asked);
		const failed = failureOf(
			testModules.filter(({ moduleId }) => ids.has(moduleId)),
			unhandledErrors,
		);
		if (failed) return failed;
	}
	return null;
}

function failureOf(modules: TestModule[], unhandled: unknown[]) {
	for (const module of modules) {
		const file = nameOf(module.moduleId);
		for (const test of module.children.allTests("failed")) {
			const why = textOf(test.result().errors?.[0]);
			return { by: { file, test: test.name }, why };
		}
		if (module.state() === "failed") {
			const suite = [...module.children.allSuites()].find(
				(one) => one.errors().length > 0,
			);
			const [error] = [...module.errors(), ...(suite?.errors() ?? [])];
			return { by: { file, test: null }, why: textOf(error) };
		}
	}
	const [error] = unhandled;
	const last = modules.at(-1);
	if (error === undefined || !last) return null;
	const by = { file: nameOf(last.moduleId), test: null };
	return { by, why: `unhandled: ${textOf(error)}` };
}

function textOf(error: unknown): string {
	const message =
		(error as { message?: unknown } | undefined)?.message ?? error;
	return String(message).split("\n")[0]?.slice(0, 200) ?? "";
}

function escaped(text: string): string {
	return text.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&");
}
