/** Owns one life of the loaded host: a process, what it said, and its end by kill -9. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import type { LifeOptions, Said } from "./testimony.ts";

const host = fileURLToPath(new URL("./loaded-host.ts", import.meta.url));

/** When a life is ended from outside, in ms: while it boots, or else so long after it has, or after so many lines. */
export type Death =
	| { readonly inBoot: number }
	| { readonly ms: number; readonly lines: number };

export interface Lived {
	readonly testimony: readonly Said[];
	/** null: as it was meant to. */
	readonly wrong: string | null;
}

/** So long may a life that is left alone take, in ms, before it counts as one that never settles. */
const patience = 60_000;

/** Lives a life to its end. `death` null: until the host ends by itself. */
export async function liveOnce(
	options: LifeOptions,
	death: Death | null,
): Promise<Lived> {
	const { NODE_OPTIONS: _, ...env } = process.env;
	const child = spawn(process.execPath, [host, JSON.stringify(options)], {
		env,
		stdio: ["ignore", "pipe", "pipe"],
	});
	const closed = once(child, "close") as Promise<
		[number | null, NodeJS.Signals | null]
	>;
	const errors = text(child.stderr);
	const kill = () => child.kill("SIGKILL");
	let isLate = false;
	const late = setTimeout(() => {
		isLate = true;
		kill();
	}, patience);
	let due: NodeJS.Timeout | undefined;
	if (death && "inBoot" in death) due = setTimeout(kill, death.inBoot);
	const testimony: Said[] = [];
	for await (const line of createInterface({ input: child.stdout })) {
		testimony.push(JSON.parse(line));
		if (!death || "inBoot" in death) continue;
		due ??= setTimeout(kill, death.ms);
		if (testimony.length === death.lines) kill();
	}
	const [code, signal] = await closed;
	clearTimeout(late);
	clearTimeout(due);
	const said = await errors;
	const isMeant = death === null ? code === 0 : signal === "SIGKILL";
	return {
		testimony,
		wrong: isLate
			? `it did not come to its end in ${patience / 1000} s; the last that it said: ${JSON.stringify(testimony.slice(-3))}`
			: isMeant && said === ""
				? null
				: `the host ended with ${code ?? signal}: ${said.slice(0, 2000)}`,
	};
}
