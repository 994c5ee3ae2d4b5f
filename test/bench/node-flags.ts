/** Owns the flags of Node that some groups are measured with besides; `docs/operating.md` says to whom they are of use. */

/** For hosts with little memory: left to itself, V8 lets garbage grow to some times what lives. */
export const smallHeap = [
	"--max-old-space-size=256",
	"--max-semi-space-size=16",
];

/**
 * For hosts under load: where a burst has had many turns under way, V8 takes what it saw survive for long-lived, and from then on puts each
 * turn's objects where only a full collection frees them, and what they lead to with them.
 */
export const noPretenuring = ["--no-allocation-site-pretenuring"];

/** How a figure names them. */
export function withNode(flags: readonly string[]): string {
	return `with node ${flags.join(" ")}`;
}
