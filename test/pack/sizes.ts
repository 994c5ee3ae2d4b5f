// Owns how much of the package is loaded by whoever imports one of its entry
// points: the file, and the chunks that it imports. Each has a budget, so that
// growth is a decision.
import { readFileSync, statSync } from "node:fs";
import { dirname, join } from "node:path";

/** By entry point, in kB of JavaScript as it ships. */
const budgets: Readonly<Record<string, number>> = {
	turnkeeper: 300,
	"turnkeeper/sqlite": 100,
	"turnkeeper/memory": 45,
	"turnkeeper/machines": 80,
	"turnkeeper/inspect": 120,
	"turnkeeper/ai-sdk": 40,
	"turnkeeper/chat-sdk": 35,
	"turnkeeper/otel": 50,
	"turnkeeper/openclaw": 360,
	"turnkeeper/maps/openclaw": 25,
	"turnkeeper/restate": 380,
	"turnkeeper/testing": 820,
};

/** One sentence for each entry point that is over its budget, or has none. */
export function overBudget(
	dist: string,
	entryPoints: readonly string[],
): string[] {
	return entryPoints.flatMap((entry) => {
		const budget = budgets[entry] ?? 0;
		const name = entry.split("/").slice(1).join("/") || "index";
		const size = Math.ceil(loaded(join(dist, `${name}.js`)) / 1000);
		return size <= budget
			? []
			: [
					`${entry} loads ${size} kB, its budget is ${budget} kB; make it smaller, or give it more in test/pack/sizes.ts and say why`,
				];
	});
}

function loaded(file: string, seen = new Set<string>()): number {
	if (seen.has(file)) return 0;
	seen.add(file);
	const imports = readFileSync(file, "utf8").matchAll(
		/^(?:import|export|\}) ?(?:[^"';]*from )?"(\.\/[^"]+)";?$/gm,
	);
	return [...imports].reduce(
		(sum, [, path]) => sum + loaded(join(dirname(file), path as string), seen),
		statSync(file).size,
	);
}
