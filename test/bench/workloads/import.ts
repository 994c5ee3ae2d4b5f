/** Owns how long the package takes to be imported, in a fresh process each time, beside what it is built on. */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { median } from "../statistics.ts";
import { Absent, type Size, type Workload } from "../workload.ts";

const dist = new URL("../../../dist/", import.meta.url);

export const importGroup = "import";
export const builtOn = "xstate and @xstate/store";
export const wholePackage = "turnkeeper";

const imports: Readonly<Record<string, readonly string[]>> = {
	[builtOn]: ["xstate", "@xstate/store"],
	[wholePackage]: [new URL("index.js", dist).href],
	"turnkeeper and turnkeeper/sqlite": [
		new URL("index.js", dist).href,
		new URL("sqlite.js", dist).href,
	],
};

/** Imports them and tells how long it took, and what is left that would keep the process. It is not told to exit: it must by itself. */
function program(names: readonly string[]): string {
	return `
const began = performance.now();
${names.map((name) => `await import(${JSON.stringify(name)});`).join("\n")}
const took = performance.now() - began;
const left = process.getActiveResourcesInfo().filter((name) => !/^(Pipe|TTY|FS)/.test(name));
console.log(JSON.stringify({ import: took, left: left.length }));
`;
}

/** How long a process may take to exit by itself. */
const exitMs = 30_000;

const plans: Record<Size, { processes: number }> = {
	tiny: { processes: 1 },
	normal: { processes: 5 },
	full: { processes: 9 },
};

const run = promisify(execFile);

async function importOnce(
	names: readonly string[],
): Promise<{ import: number; left: number }> {
	const { stdout } = await run(
		process.execPath,
		["--input-type=module", "-e", program(names)],
		{ cwd: fileURLToPath(new URL(".", import.meta.url)), timeout: exitMs },
	);
	return JSON.parse(stdout);
}

export const imported: Workload = {
	name: "import",
	groups: (size) => [
		{
			name: importGroup,
			what: "in fresh processes, each of which exits by itself; the median of those of a round",
			measures: [
				{ name: "import", unit: "ms", better: "less" },
				{ name: "left", unit: "timers and handles left", better: "less" },
			],
			contenders: Object.keys(imports),
			job: plans[size],
		},
	],
	async ready(contender, job) {
		if (!existsSync(new URL("index.js", dist)))
			throw new Absent("there is no dist/index.js; npm run build makes it");
		const names = imports[contender];
		if (!names) throw new Error(`there is no contender ${contender}`);
		return {
			async round() {
				const seen = [];
				for (let i = 0; i < Number(job.processes); i++)
					seen.push(await importOnce(names));
				return {
					import: median(seen.map((one) => one.import)),
					left: Math.max(...seen.map((one) => one.left)),
				};
			},
			close: async () => {},
		};
	},
};
