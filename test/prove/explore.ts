/**
 * Owns the exploration within large bounds, on demand: `npm run prove:explore`. Says how far it is, on a terminal in one line that is written over,
 * else in a plain line now and then; prints a line for each scene, and the trace of what does not hold, and exits with 1 then. Each step is made both ways, by XState and the short way.
 */
import { type ExploreProgress, explore } from "turnkeeper/testing";
import { duration } from "../../src/replay/words.ts";
import { bothWays } from "../support/both-ways.ts";
import { large } from "./scenes.ts";

/** Between plain lines, in ms. */
const silence = 10_000;
const number = new Intl.NumberFormat("en").format;
const began = performance.now();
const reached = { states: 0, transitions: 0, violations: 0 };
let told = began;

function tell(
	scene: string,
	{ states, open, depth, statesPerSecond }: ExploreProgress,
): void {
	const line = `${scene}: ${number(states)} states, ${number(open)} still open, depth ${depth}, ${number(statesPerSecond)} states/s`;
	const { isTTY, columns } = process.stderr;
	if (isTTY) process.stderr.write(`\r\x1b[K${line.slice(0, columns - 1)}`);
	else if (performance.now() - told >= silence) {
		told = performance.now();
		process.stderr.write(`${line}\n`);
	}
}

for (const [at, scene] of large.entries()) {
	const name = `scene ${at + 1} of ${large.length}`;
	const { summary, violation, states, transitions, isExhausted } =
		await explore({
			...scene,
			machine: bothWays(),
			onProgress: (progress) => tell(name, progress),
		});
	if (process.stderr.isTTY) process.stderr.write("\r\x1b[K");
	const { bounds: _, ...rest } = scene;
	console.log(`${summary} · ${JSON.stringify(rest)}`);
	reached.states += states;
	reached.transitions += transitions;
	if (violation) {
		reached.violations += 1;
		console.log(violation.test);
	}
	// What was not gone through to its end proves nothing of the rest.
	if (!isExhausted) {
		process.exitCode = 1;
		break;
	}
}
console.log(
	`explored: ${number(reached.states)} states, ${number(reached.transitions)} transitions, ${reached.violations} violations, in ${duration(performance.now() - began)}`,
);
