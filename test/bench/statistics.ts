/** Owns the arithmetic over measured numbers: quantiles, and ratios round by round. */

/** The value below which that share of the numbers lies, without interpolation; NaN of none. */
export function quantile(numbers: readonly number[], share: number): number {
	const sorted = [...numbers].sort((a, b) => a - b);
	const at = Math.ceil(share * sorted.length) - 1;
	return sorted[Math.max(0, at)] ?? Number.NaN;
}

/** Of an even count the mean of the two in the middle; NaN of none. */
export function median(numbers: readonly number[]): number {
	const sorted = [...numbers].sort((a, b) => a - b);
	const half = sorted.length >> 1;
	const upper = sorted[half] ?? Number.NaN;
	return sorted.length % 2 === 1
		? upper
		: ((sorted[half - 1] ?? Number.NaN) + upper) / 2;
}

/** What two contenders measured in the same rounds, one over the other: machines drift, and a round is short. */
export function ratios(
	over: readonly number[],
	under: readonly number[],
): number[] {
	if (over.length !== under.length)
		throw new Error(
			`${over.length} rounds cannot be set against ${under.length}; both must have been played in the same rounds`,
		);
	return over.map((number, round) => number / (under[round] as number));
}
