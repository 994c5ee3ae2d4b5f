/** Owns the picture of the session statechart in Mermaid's words. */
import { sessionChart } from "./chart.ts";

/**
 * The session statechart as a Mermaid state diagram.
 *
 * @example console.log(sessionMermaid()); // stateDiagram-v2 …
 */
export function sessionMermaid(): string {
	const { states, initial, arrows } = sessionChart();
	const lines = [`[*] --> ${initial}`];
	for (const state of states) lines.push(`state "${state}" as ${state}`);
	for (const { from, to, labels } of arrows) {
		const line = `${from ?? "any"} --> ${to} : ${labels.join(", ")}`;
		if (from === null && !lines.includes(anyState)) lines.push(anyState);
		lines.push(line);
	}
	return ["stateDiagram-v2", ...lines.map((line) => `  ${line}`)].join("\n");
}

const anyState = 'state "any state" as any';
