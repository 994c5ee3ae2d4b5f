/** Owns how a status, an outcome and a verdict look: a word with a mark of its colour, never the colour alone. */

export function Status({ status }: { readonly status: string }) {
	return <span class={`pill status-${status}`}>{status}</span>;
}

export function Outcome({ outcome }: { readonly outcome: string | null }) {
	return outcome === null ? null : (
		<span class={`pill outcome-${outcome}`}>{outcome}</span>
	);
}

export function VerdictMark({ verdict }: { readonly verdict: string }) {
	return <span class={`pill verdict-${verdict}`}>{verdict}</span>;
}
