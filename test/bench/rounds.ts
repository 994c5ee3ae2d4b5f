/** Owns how long a round is: as many sweeps as fit into its time, at least one. */

/** Units per second. */
export async function rateOf(
	roundMs: number,
	sweep: () => Promise<number>,
): Promise<number> {
	let units = 0;
	const began = performance.now();
	do units += await sweep();
	while (performance.now() - began < roundMs);
	return (units / (performance.now() - began)) * 1000;
}
