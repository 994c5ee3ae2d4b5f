/** Owns the two things that a host does with a gateway's frames: the reports in them, for a runtime of its own, and the watch over its rows. */
import type { LifecycleReport } from "../../machines/report.ts";
import { invalid, shown } from "../arguments.ts";
import { memoryStore } from "../memory.ts";
import { liveStream, reportOf } from "../replay/lines.ts";
import { type Replayed, replay } from "../replay/replay.ts";
import { type Frame, fromFrame } from "./frames.ts";
import { watchedLines } from "./watched-lines.ts";

/** What was seen by the end of a watch. */
export type Drift = Pick<
	Replayed,
	"reports" | "hostRows" | "hostRowsAtOdds" | "hostRowsAgainstRuns"
>;

/**
 * The lifecycle reports in a gateway's frames, or in the lines of a recording, in their order; what is malformed is left out, and progress
 * is too.
 *
 * @example for await (const report of reportsOf(gatewayFrames(url))) await runtime.report(report);
 */
export async function* reportsOf(
	frames: AsyncIterable<Frame>,
): AsyncGenerator<LifecycleReport, void> {
	const values = async function* () {
		let line = 0;
		for await (const frame of frames) {
			line += 1;
			const value = fromFrame(frame);
			if (value && value.type !== "row") yield { line, value };
		}
	};
	for await (const { value } of liveStream(values()).lines)
		if (
			value.type === "start" ||
			value.type === "end" ||
			value.type === "error"
		)
			yield reportOf(value);
}

/**
 * Says which rows that a gateway publishes contradict themselves or the runs, as they come, in a sentence each. Plays what is seen through a
 * runtime in memory. Frames of a recording are seen as a bystander would have: its commands and answers are not looked at, for which
 * there is `turnkeeper replay`. Keeps in memory what it has seen. Resolves when the frames end.
 *
 * @example await watchDrift(gatewayFrames("ws://127.0.0.1:18789", { token, signal }), console.log);
 * @throws what the frames throw
 */
export async function watchDrift(
	frames: AsyncIterable<Frame>,
	tell: (contradiction: string) => void,
): Promise<Drift> {
	if (typeof tell !== "function")
		throw invalid(
			`tell is ${shown(tell)}; it must be a function of a sentence`,
		);
	const stream = liveStream(watchedLines(frames));
	const { reports, hostRows, hostRowsAtOdds, hostRowsAgainstRuns } =
		await replay(stream, memoryStore(), { tell });
	return { reports, hostRows, hostRowsAtOdds, hostRowsAgainstRuns };
}
