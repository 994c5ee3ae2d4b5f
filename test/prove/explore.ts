/**
 * Owns the exploration within large bounds, on demand: `npm run prove:explore`. Prints a line of progress on a terminal, one line a scene, and
 * the trace of what does not hold; exits with 1 then.
 */
import { explore } from "turnkeeper/testing";
import { large } from "./scenes.ts";

const number = new Intl.NumberFormat("en").format;
const isTerminal = process.stderr.isTTY;
let states = 0;

for (const [at, scene] of large.entries()) {
	const { summary, violation, ...reached } = await explore({
		...scene,
		onProgress: ({ states, open, depth, statesPerSecond }) => {
			if (isTerminal)
				process.stderr.write(
					`\r\x1b[Kscene ${at + 1} of ${large.length}: ${number(states)} states, ${number(open)} of the next level, depth ${depth}, ${number(statesPerSecond)} states/s`,
				);
		},
	});
	if (isTerminal) process.stderr.write("\r\x1b[K");
	const { bounds: _, ...rest } = scene;
	console.log(`${summary} · ${JSON.stringify(rest)}`);
	states += reached.states;
	if (violation) {
		console.log(violation.test);
		process.exitCode = 1;
		break;
	}
}
console.log(`explored: ${number(states)} states`);
