/** Owns how the evening is shown: side by side, and with `--console` in the console's lanes until Ctrl-C. `npm run demo:seed`. */
import { once } from "node:events";
import { createConsole } from "turnkeeper/inspect";
import { evening, type Seen } from "./evening.ts";

const width = 40;
const withConsole = process.argv.includes("--console");

function linesOf({ status, error, said }: Seen): string[] {
	return [
		...said.map((text) => `  bot: ${text}`),
		`  row: ${status}${error === null ? "" : `, ${error}`}`,
	];
}

function cell(text = ""): string {
	return text.length > width
		? `${text.slice(0, width - 1)}…`
		: text.padEnd(width);
}

let ended = "";
const steps = await evening(async (runtime) => {
	const [sessionKey = ""] = (await runtime.list()).items.map(
		(row) => row.sessionKey,
	);
	const [old] = (await runtime.archive(sessionKey)).items;
	const run = old?.runs[0];
	ended = `On turnkeeper the late error is in the archive of generation ${old?.generation}: run ${run?.outcome}, ${run?.error ?? "no error"}.`;
	if (!withConsole) return;
	const shown = await createConsole(runtime, { port: 0 });
	console.log(
		`The console, with the session's lanes: ${shown.url}\nCtrl-C ends this.`,
	);
	await once(process, "SIGINT");
	await shown.close();
});
console.log(`${cell("a Map and a table")}  turnkeeper`);
for (const { what, plain, keeper } of steps) {
	console.log(`\n${what}`);
	const [left, right] = [linesOf(plain), linesOf(keeper)];
	for (let i = 0; i < Math.max(left.length, right.length); i++)
		console.log(`${cell(left[i])}  ${right[i] ?? ""}`.trimEnd());
}
console.log(`\n${ended}`);
