/** Owns what every command of the command line has in common: its shape, its options, its errors. Runs nothing. */
import { type ParseArgsOptionsConfig, parseArgs } from "node:util";
import { errorText } from "../errors.ts";

export interface Command {
	/** One line for the list of commands. */
	readonly summary: string;
	readonly help: string;
	/** The exit code. */
	run(args: readonly string[]): Promise<number>;
}

/** Called in a way that it cannot be: exit code 2. */
export class UsageError extends Error {}

/** Anything else that a user can understand: exit code 1. */
export class CommandError extends Error {}

type Values<Options extends ParseArgsOptionsConfig> = ReturnType<
	typeof parseArgs<{ options: Options; allowPositionals: true }>
>["values"];

/**
 * The options and positionals of one call. `names` says which positionals there must be; the last may end in `…` for one or more.
 *
 * @example const { values, positionals } = readArguments(args, { db: { type: "string" } }, ["KEY"]);
 * @throws UsageError
 */
export function readArguments<const Options extends ParseArgsOptionsConfig>(
	args: readonly string[],
	options: Options,
	names: readonly string[],
): { values: Values<Options>; positionals: string[] } {
	let parsed: { values: object; positionals: string[] };
	try {
		parsed = parseArgs({
			args: [...args],
			options,
			allowPositionals: true,
			strict: true,
		});
	} catch (error) {
		// Node adds advice in further sentences.
		const [first = ""] = errorText(error).split(/\.(?: |$)|\n/);
		throw new UsageError(first.charAt(0).toLowerCase() + first.slice(1));
	}
	const { positionals } = parsed;
	const missing = names[positionals.length];
	if (missing !== undefined)
		throw new UsageError(`${missing.replace("…", "")} is missing`);
	const extra = names.at(-1)?.endsWith("…")
		? undefined
		: positionals[names.length];
	if (extra !== undefined)
		throw new UsageError(`${JSON.stringify(extra)} is one argument too many`);
	return { values: parsed.values as Values<Options>, positionals };
}

/** @throws UsageError */
export function needDb(db: string | undefined): string {
	if (db === undefined || db === "")
		throw new UsageError("--db FILE is missing");
	return db;
}

/** @throws UsageError */
export function wholeNumber(
	value: string | undefined,
	option: string,
	otherwise: number,
): number {
	if (value === undefined) return otherwise;
	const number = Number(value);
	if (/^\d+$/.test(value) && Number.isSafeInteger(number) && number > 0)
		return number;
	throw new UsageError(
		`${option} is ${JSON.stringify(value)}; it must be a whole number, 1 or more`,
	);
}
