/** Owns how the page speaks with the host: what it posts, and the one stream of what it is told. Knows nothing of what is shown. */

/** Resolves with the answer; rejects with what the host says is wrong. */
export async function post(path, body) {
	let response;
	try {
		response = await fetch(path + location.search, {
			method: "POST",
			headers: { "content-type": "application/json" },
			body: JSON.stringify(body),
		});
	} catch {
		throw new Error("The host does not answer.");
	}
	if (!response.ok) throw new Error(await response.text());
	return response.json();
}

/**
 * Calls `on[type]` with each thing that is told. The browser comes back by itself when the stream breaks, and says how far it has read;
 * `away` is called with true when it breaks, and with false when it is there again.
 */
export function listen(on, away) {
	const stream = new EventSource(`/events${location.search}`);
	stream.onopen = () => away(false);
	stream.onerror = () => {
		away(true);
		// An answer that is no stream is not asked for again by the browser.
		if (stream.readyState === EventSource.CLOSED)
			setTimeout(() => listen(on, away), 2000);
	};
	stream.onmessage = ({ data }) => {
		const told = JSON.parse(data);
		on[told.type]?.(told);
	};
}
