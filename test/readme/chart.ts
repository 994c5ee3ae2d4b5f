/** Owns the chart in the README: `npx node test/readme/chart.ts` draws it anew from the machine. */
import { readFileSync, writeFileSync } from "node:fs";
import { sessionMermaid } from "../../machines/mermaid.ts";

const readme = new URL("../../README.md", import.meta.url);
const text = readFileSync(readme, "utf8");
const chart = `\`\`\`mermaid\n${sessionMermaid()}\n\`\`\``;
writeFileSync(
	readme,
	text.replace(/```mermaid\n[^`]*```/, () => chart),
);
