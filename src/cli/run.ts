/** Owns which commands there are, and what a failed one says: one line on standard error, exit code 2 for usage, 1 for the rest. */
import manifest from "../../package.json" with { type: "json" };
import { type Command, UsageError } from "./command.ts";
import { complain, complainOf, print } from "./output.ts";
import { table } from "./table.ts";

const commands: Readonly<Record<string, () => Promise<Command>>> = {
	replay: async () => (await import("./replay.ts")).replayCommand,
	why: async () => (await import("./why.ts")).whyCommand,
	sessions: async () => (await import("./sessions.ts")).sessionsCommand,
	inspect: async () => (await import("./inspect.ts")).inspectCommand,
	import: async () => (await import("./import.ts")).importCommand,
	backup: async () => (await import("./backup.ts")).backupCommand,
	simulate: async () => (await import("./simulate.ts")).simulateCommand,
};

/**
 * Runs one call of the command line.
 *
 * @example process.exitCode = await runCommandLine(["sessions", "list", "--db", "sessions.db"]);
 */
export async function runCommandLine(args: readonly string[]): Promise<number> {
	const [name = "", ...rest] = args;
	try {
		return await dispatch(name, rest);
	} catch (error) {
		const isUsage = error instanceof UsageError;
		const advice = `see turnkeeper ${Object.hasOwn(commands, name) ? `${name} ` : ""}--help`;
		if (isUsage) complain(`${error.message}; ${advice}`);
		else complainOf(error);
		return isUsage ? 2 : 1;
	}
}

async function dispatch(
	name: string,
	args: readonly string[],
): Promise<number> {
	if (name === "--version") {
		print(manifest.version);
		return 0;
	}
	if (name === "--help" || name === "-h") {
		print(await help());
		return 0;
	}
	const load = Object.hasOwn(commands, name) ? commands[name] : undefined;
	if (!load) {
		const known = Object.keys(commands).join(", ");
		throw new UsageError(
			name === ""
				? `there is no command; it can be ${known}`
				: `${JSON.stringify(name)} is no command; it can be ${known}`,
		);
	}
	const command = await load();
	const options = args.slice(
		0,
		args.includes("--") ? args.indexOf("--") : undefined,
	);
	if (options.includes("--help") || options.includes("-h")) {
		print(command.help);
		return 0;
	}
	return command.run(args);
}

async function help(): Promise<string> {
	const rows: string[][] = [];
	for (const [name, load] of Object.entries(commands))
		rows.push([name, (await load()).summary]);
	return `turnkeeper ${manifest.version}: sessions of a chat-bot host, seen from the command line

usage: turnkeeper COMMAND …

${table(rows, { indent: "  " })}

  turnkeeper COMMAND --help   what a command takes
  turnkeeper --version        the version of the package`;
}
