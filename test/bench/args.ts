/** Owns what may be typed behind `npm run bench --`. */
import { parseArgs } from "node:util";
import { type Size, sizes } from "./workload.ts";

export const help = `Measures turnkeeper beside what people use instead of it, each contender in a process of its own.

  npm run bench -- [options]

  --only NAME     a workload, or the workload of a figure; may be given again
  --size SIZE     tiny (proves nothing), normal (default), or full (with 1,000,000 sessions)
  --rounds N      rounds that count; default 1, 7 and 11 by size
  --json [FILE]   all that was measured, to a file, or instead of the tables
  --plot FILE     a plot of the turns per second, as SVG
  --readme        the table of figures into README.md; not with --size tiny or --only
  --folder PATH   for the database files; default: a fresh one, removed in the end
  --help          this
`;

export interface Args {
	readonly only: readonly string[];
	readonly size: Size;
	readonly rounds: number;
	/** A path; true: to the standard output. */
	readonly json: string | true | null;
	readonly plot: string | null;
	readonly readme: boolean;
	readonly folder: string | null;
	readonly help: boolean;
}

/** What was typed was wrong, and what would have been right. */
export class WrongArgs extends Error {
	readonly code = "INVALID_ARGUMENT";
}

const roundsBySize: Record<Size, number> = { tiny: 1, normal: 7, full: 11 };

/** `known` are the names that `--only` may be given. */
export function argsOf(
	argv: readonly string[],
	known: readonly string[],
): Args {
	const { values, positionals } = parsed(argv);
	const [stray] = positionals;
	if (stray !== undefined)
		throw new WrongArgs(
			`${JSON.stringify(stray)} stands alone; a workload is chosen by --only ${stray}`,
		);
	const size = values.size ?? "normal";
	if (!isSize(size))
		throw new WrongArgs(`--size is ${size}; it must be ${sizes.join(", ")}`);
	const only = values.only ?? [];
	for (const name of only)
		if (!known.includes(name))
			throw new WrongArgs(
				`--only is ${name}; it must be one of ${known.join(", ")}`,
			);
	const plot = values.plot ?? null;
	if (plot !== null && !plot.endsWith(".svg"))
		throw new WrongArgs(
			`--plot is ${plot}; it must be a file that ends in .svg`,
		);
	const readme = values.readme ?? false;
	if (readme && (size === "tiny" || only.length > 0))
		throw new WrongArgs(
			`--readme does not go with ${size === "tiny" ? "--size tiny, which proves nothing" : "--only"}; the README has all figures of one run of size normal or full`,
		);
	return {
		only,
		size,
		rounds: roundsOf(values.rounds, size),
		json: values.json === undefined ? null : values.json || true,
		plot,
		readme,
		folder: values.folder ?? null,
		help: values.help ?? false,
	};
}

function parsed(argv: readonly string[]) {
	try {
		return parseArgs({
			args: withValue(argv),
			allowPositionals: true,
			options: {
				only: { type: "string", multiple: true },
				size: { type: "string" },
				rounds: { type: "string" },
				json: { type: "string" },
				plot: { type: "string" },
				readme: { type: "boolean" },
				folder: { type: "string" },
				help: { type: "boolean", short: "h" },
			},
		});
	} catch (error) {
		throw new WrongArgs(
			`${(error as Error).message}; --help says what there is`,
		);
	}
}

/** `--json` alone is `--json` with nothing. */
function withValue(argv: readonly string[]): string[] {
	return argv.map((arg, at) => {
		const next = argv[at + 1];
		const isAlone = next === undefined || next.startsWith("-");
		return arg === "--json" && isAlone ? "--json=" : arg;
	});
}

function isSize(text: string): text is Size {
	return (sizes as readonly string[]).includes(text);
}

function roundsOf(text: string | undefined, size: Size): number {
	if (text === undefined) return roundsBySize[size];
	const rounds = Number(text);
	if (!Number.isInteger(rounds) || rounds < 1)
		throw new WrongArgs(`--rounds is ${text}; it must be a number from 1 on`);
	return rounds;
}
