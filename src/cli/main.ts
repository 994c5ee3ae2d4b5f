#!/usr/bin/env node
/**
 * Owns the way into the command line: refuses a Node that is too old before anything that needs a newer one is loaded. Knows no
 * command.
 */
const needed = 24;
const { node } = process.versions;

if (Number.parseInt(node, 10) < needed) {
	process.stderr.write(
		`turnkeeper: this is Node ${node}; turnkeeper needs Node ${needed} or newer\n`,
	);
	process.exitCode = 1;
} else {
	// First, because loading what needs SQLite may already make Node speak.
	const { guardProcess } = await import("./guard.ts");
	guardProcess();
	const { runCommandLine } = await import("./run.ts");
	process.exitCode = await runCommandLine(process.argv.slice(2));
}
