/** Owns what a run over the mutants says at its end. Pure. */
import { kinds, type Mutation } from "./mutation.ts";
import type { Verdict } from "./verdict.ts";

export interface Tried {
	readonly mutation: Mutation;
	readonly verdict: Verdict;
	/** Why nothing can tell it from the original, if it is listed so. */
	readonly equivalent: string | null;
}

export function listOf(
	mutations: readonly Mutation[],
	reasons: ReadonlyMap<string, string>,
): string {
	const lines = mutations.map(({ id, file, line }) => {
		const why = reasons.get(id);
		return `${file}:${line}  ${id}${why === undefined ? "" : `  (equivalent: ${why})`}`;
	});
	return [...lines, `${mutations.length} mutants`].join("\n");
}

export function reportOf(tried: readonly Tried[]): {
	readonly text: string;
	readonly isGood: boolean;
} {
	const survivors = tried.filter(
		({ verdict, equivalent }) =>
			verdict.fate === "survived" && equivalent === null,
	);
	const wrong = tried.filter(
		({ verdict, equivalent }) =>
			verdict.fate !== "survived" && equivalent !== null,
	);
	const guards = survivors.filter(({ mutation }) => mutation.kind === "guard");
	const lines = [
		...survivors.map(
			({ mutation, verdict }) =>
				`${mutation.file}:${mutation.line}  ${mutation.id}  (${verdict.fate === "survived" ? verdict.asked : 0} test files)`,
		),
		...wrong.map(
			({ mutation, verdict }) =>
				`Listed as equivalent, but ${verdict.fate}${"by" in verdict ? ` by ${verdict.by.file}: ${verdict.by.test}` : ""}: ${mutation.id}`,
		),
	];
	const table = [
		[
			"kind",
			"mutants",
			"killed",
			"of these hung",
			"do not compile",
			"equivalent",
			"survived",
		],
		...kinds.map((kind) => {
			const own = tried.filter(({ mutation }) => mutation.kind === kind);
			const count = (holds: (one: Tried) => boolean) =>
				String(own.filter(holds).length);
			const lived = (one: Tried) => one.verdict.fate === "survived";
			return [
				kind,
				String(own.length),
				count((one) => "by" in one.verdict),
				count((one) => one.verdict.fate === "hung"),
				count((one) => one.verdict.fate === "does not compile"),
				count((one) => lived(one) && one.equivalent !== null),
				count((one) => lived(one) && one.equivalent === null),
			];
		}),
	];
	const widths = (table[0] ?? []).map((_, at) =>
		Math.max(...table.map((row) => row[at]?.length ?? 0)),
	);
	const rows = table.map((row) =>
		row
			.map((cell, at) => cell.padEnd(widths[at] ?? 0))
			.join("  ")
			.trimEnd(),
	);
	return {
		text: [
			...(lines.length > 0 ? ["", ...lines] : []),
			"",
			...rows,
			"",
			`${tried.length} mutants, ${survivors.length} survived, of guards ${guards.length}`,
		].join("\n"),
		isGood: guards.length === 0 && wrong.length === 0,
	};
}
