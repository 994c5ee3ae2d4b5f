/** Owns `turnkeeper replay --watch`: what a live gateway publishes in contradiction to its own runs, a line each, until somebody has enough. */
import { watchDrift } from "../openclaw/drift.ts";
import { gatewayFrames } from "../openclaw/gateway.ts";
import { count } from "../replay/words.ts";
import { UsageError } from "./command.ts";
import { complain, print, printable, printJson } from "./output.ts";

/** The exit code: 0 when it was ended from here. */
export async function watch(
	urls: readonly string[],
	{
		map,
		db,
		token = process.env.OPENCLAW_GATEWAY_TOKEN,
		json,
	}: {
		readonly map?: string | undefined;
		readonly db?: string | undefined;
		readonly token?: string | undefined;
		readonly json: boolean;
	},
): Promise<number> {
	const [url = "", another] = urls;
	if (another !== undefined)
		throw new UsageError(
			`${JSON.stringify(another)} is one argument too many; --watch looks at one gateway`,
		);
	if (map !== undefined || db !== undefined)
		throw new UsageError("--map and --db do not go with --watch");
	if (!/^wss?:\/\/./.test(url))
		throw new UsageError(
			`${JSON.stringify(url)} is no gateway; --watch needs its address, such as ws://127.0.0.1:18789`,
		);
	const enough = new AbortController();
	const end = () => enough.abort();
	process.once("SIGINT", end);
	process.once("SIGTERM", end);
	try {
		const frames = gatewayFrames(url, {
			signal: enough.signal,
			...(token ? { token } : {}),
		});
		if (!json) complain(`watching ${url}; Ctrl-C ends this`);
		const seen = await watchDrift(frames, (contradiction) => {
			if (json) printJson({ contradiction });
			else print(printable(contradiction));
		});
		if (json) printJson(seen);
		else
			print(
				`${count(seen.hostRows, "row")} judged: ${seen.hostRowsAtOdds} at odds with themselves, ${seen.hostRowsAgainstRuns} with the runs`,
			);
		return 0;
	} finally {
		process.off("SIGINT", end);
		process.off("SIGTERM", end);
	}
}
