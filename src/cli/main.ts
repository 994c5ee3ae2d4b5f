#!/usr/bin/env node
/**
 * Owns the way into the command line: refuses a Node that is too old before anything that needs a newer one is loaded, and keeps what
 * Node itself has to say about its own features out of the output. Knows no command.
 */
const needed = 24;
const { node } = process.versions;

if (Number.parseInt(node, 10) < needed) {
	process.stderr.write(
		`turnkeeper: this is Node ${node}; turnkeeper needs Node ${needed} or newer\n`,
	);
	process.exitCode = 1;
} else {
	const say = process.emitWarning;
	process.emitWarning = ((warning: string | Error, ...rest: never[]) => {
		const type: unknown = (rest as unknown[])[0];
		const name =
			typeof type === "object" && type !== null
				? (type as { type?: unknown }).type
				: type;
		const isExperimental =
			name === "ExperimentalWarning" ||
			(warning instanceof Error && warning.name === "ExperimentalWarning");
		if (!isExperimental) say.call(process, warning as string, ...rest);
	}) as typeof process.emitWarning;
	const { runCommandLine } = await import("./run.ts");
	process.exitCode = await runCommandLine(process.argv.slice(2));
}
