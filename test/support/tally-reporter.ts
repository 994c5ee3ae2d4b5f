// Owns the last line of a test run: `N passed, N failed`, alone on its line and
// counted from the run itself. What failed, and why, the default reporter says.
import type { Reporter, SerializedError, TestModule } from "vitest/node";

export default class TallyReporter implements Reporter {
	onTestRunEnd(
		modules: readonly TestModule[],
		unhandled: readonly SerializedError[],
	): void {
		const line = tally(modules, unhandled);
		// At exit, so that nothing else of the run comes after it.
		process.once("exit", () => process.stdout.write(`${line}\n`));
	}
}

/** A file or suite that broke outside its tests counts as one failure, and so does each error that no test caught. */
function tally(
	modules: readonly TestModule[],
	unhandled: readonly SerializedError[],
): string {
	let passed = 0;
	let failed = unhandled.length;
	for (const module of modules) {
		failed += module.errors().length > 0 ? 1 : 0;
		for (const suite of module.children.allSuites()) {
			failed += suite.errors().length > 0 ? 1 : 0;
		}
		for (const test of module.children.allTests()) {
			const { state } = test.result();
			if (state === "passed") passed += 1;
			else if (state === "failed") failed += 1;
		}
	}
	return `${passed} passed, ${failed} failed`;
}
