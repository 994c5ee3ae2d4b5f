// Owns how the tests run: against the sources, also where a test imports the
// package by its own name. The sources of the entry points are said once, in
// tsconfig.json (`paths`).
import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";
import { isReplayed } from "./test/support/replaying.ts";
import tsconfig from "./tsconfig.json" with { type: "json" };

const sources: Record<string, string[]> = tsconfig.compilerOptions.paths;

export default defineConfig({
	resolve: {
		alias: Object.entries(sources).flatMap(([name, files]) =>
			files.map((file) => ({
				find: new RegExp(`^${name}$`),
				replacement: fileURLToPath(new URL(file, import.meta.url)),
			})),
		),
	},
	test: {
		include: ["test/**/*.test.ts"],
		// Processes, not threads: tests kill children, hold file locks and watch
		// for unhandled rejections.
		pool: "forks",
		// The threads and processes that tests start load the sources by Node alone:
		// each without its types once, not once a thread.
		env: {
			NODE_COMPILE_CACHE: fileURLToPath(
				new URL("node_modules/.cache/node", import.meta.url),
			),
		},
		// A small machine has no processor to spare for a runner that only waits.
		maxWorkers: "100%",
		testTimeout: 60_000,
		hookTimeout: 60_000,
		globalSetup: "./test/support/console-page.ts",
		setupFiles: isReplayed ? ["./test/support/replayed.ts"] : [],
		reporters: ["default", "./test/support/tally-reporter.ts"],
	},
});
