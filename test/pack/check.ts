// Owns the proof that the package works for whoever installs it: packs it,
// installs the tarball into an empty folder and uses it there the way a caller
// would. Never builds; `npm run build` comes first.
import { spawnSync } from "node:child_process";
import {
	existsSync,
	mkdirSync,
	mkdtempSync,
	readFileSync,
	rmSync,
	writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { errorCodes } from "../support/error-codes.ts";
import { type Adapter, adapters } from "./adapters.ts";
import { overBudget } from "./sizes.ts";

const root = join(import.meta.dirname, "..", "..");
const manifest = manifestOf(root) as Manifest;
const entryPoints = Object.keys(manifest.exports)
	.filter((subpath) => subpath !== "./package.json")
	.map((subpath) => manifest.name + subpath.slice(1));

/** Every line of it must compile against the declarations that ship, and the marked one must not. */
const consumer = `
import {
	createSessionRuntime,
	type OverlapMode,
	type OverlapPolicy,
	type TranscriptEntry,
} from "turnkeeper";
import { type Console, createConsole } from "turnkeeper/inspect";
import { memoryStore } from "turnkeeper/memory";
import { storeConformance, type StorePlace } from "turnkeeper/testing";

await using runtime = createSessionRuntime<string, string>({
	store: memoryStore(),
	overlap: (row, message): OverlapMode | OverlapPolicy =>
		row.queued > 0 || message.input === "" ? "reject" : { mode: "collect", debounceMs: 0 },
	execute: async (run) => {
		const text = run.messages.map(({ input }) => input).join(" ");
		await run.append({ text });
		return run.deliver("reply", async ({ idempotencyKey }) => text + idempotencyKey.slice(0, 0));
	},
});
await runtime.start();
const shown: Console = await createConsole(runtime, { port: 0 });
console.log(shown.url);
const receipt = await runtime.send("chat:1", "hello", { messageId: "m-1" });
const { outcome, output } = await receipt.settled;
console.log(receipt.disposition, outcome, output?.toUpperCase());
const entries: readonly TranscriptEntry[] = (await runtime.transcript("chat:1")).items;
for await (const item of runtime.follow(receipt.ticket!)) console.log("gap" in item, entries.length);
// @ts-expect-error a runtime needs a store
createSessionRuntime({});
const makeStore = (place: StorePlace) => (place.folder === "" ? Promise.resolve(memoryStore()) : memoryStore());
await storeConformance("my store", makeStore, { module: new URL(import.meta.url), spoil: ({ name }, key) => console.log(name, key) });
`;

/** The page of the console ships, and what it asks for is there. */
const consoleOfConsumer = `
import { createSessionRuntime } from "turnkeeper";
import { createConsole } from "turnkeeper/inspect";
import { memoryStore } from "turnkeeper/memory";
const runtime = createSessionRuntime({ store: memoryStore() });
await runtime.start();
const shown = await createConsole(runtime, { port: 0 });
const page = await (await fetch(shown.url)).text();
for (const path of [...page.matchAll(/(?:src|href)="(\\/[^"]+)"/g)].map(([, one]) => one))
	console.log(path, (await fetch(new URL(path, shown.url))).status);
await shown.close();
await runtime.close();
`;

/** The program of a store's thread ships, and is found: a turn is done, and the file is read from another thread. */
const threadOfConsumer = `
import { createSessionRuntime } from "turnkeeper";
import { sqliteStore } from "turnkeeper/sqlite";
const store = sqliteStore("thread.db", { thread: true });
const runtime = createSessionRuntime({ store, execute: (run) => run.messages[0].input + "!" });
await runtime.start();
const { settled } = await runtime.send("chat:1", "hello");
const { outcome, output } = await settled;
await runtime.close();
const reader = await store.read();
const { items } = await reader.list({});
console.log(outcome, output, items.map(({ sessionKey }) => sessionKey).join());
`;

/** Where else it runs, and how a program is started there. */
const otherRuntimes = [
	["bun", "1.4.5"],
	["deno", "2.9.6", "run", "--allow-all"],
] as const;

/** A run is reset in the middle, on each store; the message behind it is answered. */
const smoke = `
import { rmSync } from "node:fs";
import { setTimeout } from "node:timers/promises";
import { createSessionRuntime } from "turnkeeper";
import { memoryStore } from "turnkeeper/memory";
import { sqliteStore } from "turnkeeper/sqlite";
for (const name of ["smoke.db", "smoke-on-thread.db"]) rmSync(name, { force: true });
for (const store of [memoryStore(), sqliteStore("smoke.db"), sqliteStore("smoke-on-thread.db", { thread: true })]) {
	const runtime = createSessionRuntime({
		store,
		execute: async (run) => {
			await setTimeout(50, null, { signal: run.signal });
			return "you said " + run.messages[0].input;
		},
	});
	await runtime.start();
	const first = await runtime.send("chat:1", "hello");
	const second = await runtime.send("chat:1", "bye");
	await runtime.reset("chat:1");
	console.log((await first.settled).outcome, (await second.settled).output);
	await runtime.close();
}
`;
const smokePrints = "aborted you said bye\n".repeat(3);

/** The consumer's folder has no vitest. */
const withoutVitest = `
import { storeConformance } from "turnkeeper/testing";
await storeConformance("my store", () => {}).catch(({ code, message }) => console.log(code, message));
`;

/** What an error names is in the package that threw it. */
const errorOfConsumer = `
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { createSessionRuntime } from "turnkeeper";
const folder = dirname(createRequire(import.meta.url).resolve("turnkeeper/package.json"));
try {
	createSessionRuntime({});
} catch (error) {
	const [, page] = /\\(([^()]+)\\)$/.exec(error.message) ?? [];
	console.log(error.code, page, page === error.page && existsSync(join(folder, page)));
}
`;

const consumerConfig = {
	compilerOptions: {
		target: "es2024",
		lib: ["es2024", "esnext.disposable"],
		types: ["node"],
		module: "nodenext",
		moduleResolution: "nodenext",
		strict: true,
		skipLibCheck: false,
		noEmit: true,
	},
	files: ["consumer.ts"],
};

class CheckFailed extends Error {}

interface Manifest {
	readonly name: string;
	readonly version: string;
	readonly exports: Record<string, string | Record<string, string>>;
	readonly bin: Record<string, string>;
}

const temp = mkdtempSync(join(tmpdir(), "turnkeeper-pack-"));
try {
	check();
	console.log("pack check: everything holds");
} catch (error) {
	if (!(error instanceof CheckFailed)) throw error;
	console.error(`pack check failed: ${error.message}`);
	process.exitCode = 1;
} finally {
	rmSync(temp, { recursive: true, force: true });
}

function check(): void {
	step("every file that package.json names is built");
	const missing = [
		...Object.values(manifest.exports).flatMap((target) =>
			typeof target === "string" ? [target] : Object.values(target),
		),
		...Object.values(manifest.bin),
	].filter((file) => !existsSync(join(root, file)));
	if (missing.length > 0) {
		throw new CheckFailed(
			`package.json names ${missing.join(", ")}, which ${missing.length === 1 ? "is" : "are"} not there; run "npm run build" first.`,
		);
	}

	step("what each entry point loads is within its budget");
	const tooLarge = overBudget(join(root, "dist"), entryPoints);
	if (tooLarge.length > 0) throw new CheckFailed(tooLarge.join("\n"));

	step("npm pack");
	run("npm", ["pack", "--silent", "--pack-destination", temp], root);
	const tarball = join(temp, `${manifest.name}-${manifest.version}.tgz`);
	if (!existsSync(tarball)) {
		throw new CheckFailed(`npm pack left no ${tarball}.`);
	}

	step("publint");
	run(localBin("publint"), ["run", tarball, "--strict"], root);

	step("are the types wrong");
	run(
		localBin("attw"),
		[tarball, "--profile", "esm-only", "--no-definitely-typed"],
		root,
	);

	step("install the tarball into an empty folder");
	const folder = join(temp, "consumer");
	mkdirSync(folder);
	const packages = [
		tarball,
		`typescript@${installedVersion("typescript")}`,
		`@types/node@${installedVersion("@types/node")}`,
	];
	writeJson(join(folder, "package.json"), { private: true, type: "module" });
	run("npm", ["install", "--silent", "--prefer-offline", ...packages], folder);

	const withPeer = new Set(adapters.map(({ entry }) => entry));
	for (const name of entryPoints)
		if (!withPeer.has(name)) loadBothWays(folder, name);

	step("the pages of the error codes");
	const docs = join(folder, "node_modules", manifest.name, "docs");
	const unwritten = errorCodes.filter(
		(code) => !existsSync(join(docs, "errors", `${code}.md`)),
	);
	if (unwritten.length > 0)
		throw new CheckFailed(
			`the tarball has no docs/errors/CODE.md for ${unwritten.join(", ")}`,
		);
	if (existsSync(join(docs, "api")))
		throw new CheckFailed("the tarball has docs/api, which is not to ship");
	const named = run(
		process.execPath,
		["--input-type=module", "--eval", errorOfConsumer],
		folder,
	);
	if (named !== "INVALID_ARGUMENT docs/errors/INVALID_ARGUMENT.md true\n")
		throw new CheckFailed(`an error names its page as: ${named}`);

	step("type-check a consumer");
	compile(folder, consumer);

	step("storeConformance without vitest");
	const said = run(
		process.execPath,
		["--input-type=module", "--eval", withoutVitest],
		folder,
	);
	if (
		!said.startsWith("INVALID_ARGUMENT storeConformance makes a vitest suite")
	)
		throw new CheckFailed(
			`storeConformance, where vitest is not installed, said: ${said}`,
		);

	step("the page of the console");
	const served = run(
		process.execPath,
		["--input-type=module", "--eval", consoleOfConsumer],
		folder,
	);
	if (served !== "/console.css 200\n/console.js 200\n")
		throw new CheckFailed(`the console's page asked for: ${served}`);

	step("a store on a thread");
	const threaded = run(
		process.execPath,
		["--input-type=module", "--eval", threadOfConsumer],
		folder,
	);
	if (threaded !== "completed hello! chat:1\n")
		throw new CheckFailed(`a turn on a store on a thread said: ${threaded}`);

	for (const [runtime, version, ...args] of otherRuntimes) {
		step(`${runtime} ${version}`);
		run(
			"npm",
			["install", "--silent", "--prefer-offline", `${runtime}@${version}`],
			folder,
		);
		writeFileSync(join(folder, "smoke.mjs"), smoke);
		const said = run(
			join(folder, "node_modules", ".bin", runtime),
			[...args, "smoke.mjs"],
			folder,
		);
		if (said !== smokePrints)
			throw new CheckFailed(`on ${runtime} ${version} a host said: ${said}`);
	}

	for (const adapter of adapters) checkAdapter(folder, adapter);

	for (const name of Object.keys(manifest.bin)) {
		step(`${name} --help`);
		const help = run(
			join(folder, "node_modules", ".bin", name),
			["--help"],
			folder,
		);
		if (help.trim() === "") {
			throw new CheckFailed(`"${name} --help" printed nothing.`);
		}
	}
}

function checkAdapter(
	folder: string,
	{ entry, peer, versions, beside, program, tried }: Adapter,
): void {
	step(`${entry} without ${peer}`);
	const missed = run(
		process.execPath,
		[
			"--input-type=module",
			"--eval",
			`await import("${entry}").catch(({ code, message }) => console.log(code, message));`,
		],
		folder,
	);
	if (!missed.startsWith(`ERR_MODULE_NOT_FOUND Cannot find package '${peer}'`))
		throw new CheckFailed(`${entry} without ${peer} said: ${missed}`);
	for (const version of versions) {
		const packages = [
			`${peer}@${installedVersion(version)}`,
			...beside.map((name) => `${name}@${installedVersion(name)}`),
		];
		step(`${entry} with ${packages[0]}`);
		run(
			"npm",
			["install", "--silent", "--prefer-offline", ...packages],
			folder,
		);
		loadBothWays(folder, entry);
		// The declarations of the peer itself are not what is checked.
		compile(folder, program, { skipLibCheck: true });
		if (!tried) continue;
		const printed = run(
			process.execPath,
			["--input-type=module", "--eval", tried.program],
			folder,
		);
		if (printed !== tried.prints)
			throw new CheckFailed(`${entry}, tried, said: ${printed}`);
	}
}

/** A program like a caller's, against the declarations that ship. */
function compile(folder: string, program: string, options: object = {}): void {
	writeFileSync(join(folder, "consumer.ts"), program);
	const compilerOptions = { ...consumerConfig.compilerOptions, ...options };
	writeJson(join(folder, "tsconfig.json"), {
		...consumerConfig,
		compilerOptions,
	});
	run(
		process.execPath,
		[join("node_modules", "typescript", "bin", "tsc")],
		folder,
	);
}

function loadBothWays(folder: string, name: string): void {
	step(`import("${name}")`);
	load(folder, "module", `await import("${name}")`);
	step(`require("${name}")`);
	load(folder, "commonjs", `require("${name}")`);
}

function step(name: string): void {
	console.log(`pack check: ${name}`);
}

/** The load itself fails on its own; an entry point that exports nothing is a failure too. */
function load(
	folder: string,
	type: "module" | "commonjs",
	expression: string,
): void {
	const script = `console.log(Object.keys(${expression}).join(" "))`;
	const names = run(
		process.execPath,
		[`--input-type=${type}`, "--eval", script],
		folder,
	);
	if (names.trim() === "") {
		throw new CheckFailed(`${expression} gave a module without exports.`);
	}
}

/** Runs to the end and returns what it printed; shows all of it where the command fails. */
function run(command: string, args: readonly string[], cwd: string): string {
	const result = spawnSync(command, args, {
		cwd,
		encoding: "utf8",
		// The Node that runs this check runs the programs under check too.
		env: {
			...process.env,
			PATH: `${dirname(process.execPath)}:${process.env.PATH}`,
		},
	});
	if (result.error) {
		throw new CheckFailed(
			`"${command}" did not start: ${result.error.message}.`,
		);
	}
	if (result.status !== 0) {
		console.error(result.stdout + result.stderr);
		const ended =
			result.status === null
				? `was ended by ${result.signal}`
				: `exited with ${result.status}`;
		throw new CheckFailed(`"${[command, ...args].join(" ")}" ${ended}.`);
	}
	return result.stdout;
}

function localBin(name: string): string {
	return join(root, "node_modules", ".bin", name);
}

function installedVersion(name: string): string {
	return manifestOf(join(root, "node_modules", name)).version;
}

function manifestOf(folder: string): Pick<Manifest, "name" | "version"> {
	return JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
}

function writeJson(file: string, value: unknown): void {
	writeFileSync(file, `${JSON.stringify(value, null, "\t")}\n`);
}
