/** Owns which parts of facts and events are contents: what people and models said, and what hosts keep beside it. Never what happened. */

/** Names under which facts and events carry contents, whatever holds them. */
const contents: ReadonlySet<string> = new Set([
	// messages
	"input",
	// host fields of a row, and changes to them
	"meta",
	"patch",
	// the transcript
	"entry",
	// answers to waits, results of deliveries
	"value",
	"result",
	// what executors threw
	"error",
	"lastError",
]);

const leftOut = "‹left out›";

/**
 * Options for `@statelyai/inspect` that keep contents to the process: inputs, host fields, transcript entries, answers, results and error
 * texts are shown as `‹left out›`; keys, ids, states, times and counts stay. Without them an inspector sees everything.
 *
 * @example const inspector = createWebSocketInspector({ url: server.socket, ...withoutContents });
 */
export const withoutContents = {
	sanitizeContext: without,
	sanitizeEvent: without,
};

function without<Value>(value: Value): Value {
	return copied(value) as Value;
}

function copied(value: unknown): unknown {
	if (typeof value !== "object" || value === null) return value;
	if (Array.isArray(value)) return value.map(copied);
	return Object.fromEntries(
		Object.entries(value).map(([name, part]) => [
			name,
			contents.has(name) && part != null ? leftOut : copied(part),
		]),
	);
}
