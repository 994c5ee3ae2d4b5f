/**
 * Owns reading JSON objects line by line from something that may be large. A line that is not JSON is said with its number and loses
 * nothing but itself. Never knows what the objects mean.
 */

/** A line of a file with its number, 1 for the first. */
export interface NumberedValue {
	readonly line: number;
	readonly value: unknown;
}

/** A line that was left out, and why, in a sentence that names it. */
export interface BadLine {
	readonly line: number;
	readonly problem: string;
}

const mark = 0xfe_ff;

/**
 * Splits at \n alone: JSON may carry the line separators U+2028 and U+2029 inside its strings. A line of white space is no line of data.
 *
 * @example for await (const { line, text } of textLines(createReadStream("events.jsonl"))) …
 */
export async function* textLines(
	chunks: AsyncIterable<Uint8Array | string> | Iterable<Uint8Array | string>,
): AsyncGenerator<{ readonly line: number; readonly text: string }> {
	const decoder = new TextDecoder();
	let line = 0;
	let rest: string[] = [];
	const take = (text: string) => {
		line += 1;
		return {
			line,
			text: line === 1 && text.charCodeAt(0) === mark ? text.slice(1) : text,
		};
	};
	for await (const chunk of chunks) {
		const text =
			typeof chunk === "string"
				? chunk
				: decoder.decode(chunk, { stream: true });
		let from = 0;
		for (let to = text.indexOf("\n"); to >= 0; to = text.indexOf("\n", from)) {
			yield take(rest.join("") + text.slice(from, to));
			rest = [];
			from = to + 1;
		}
		if (from < text.length) rest.push(text.slice(from));
	}
	const last = rest.join("") + decoder.decode();
	if (last !== "") yield take(last);
}

/**
 * The JSON values of a file in order; what is not JSON goes to `left`.
 *
 * @example for await (const { line, value } of jsonLines(createReadStream("events.jsonl"), (bad) => console.warn(bad.problem))) …
 */
export async function* jsonLines(
	chunks: AsyncIterable<Uint8Array | string> | Iterable<Uint8Array | string>,
	left: (bad: BadLine) => void,
): AsyncGenerator<NumberedValue> {
	for await (const { line, text } of textLines(chunks)) {
		if (text.trim() === "") continue;
		let value: unknown;
		try {
			value = JSON.parse(text);
		} catch (error) {
			left({ line, problem: notJson(line, text, error) });
			continue;
		}
		yield { line, value };
	}
}

function notJson(line: number, text: string, error: unknown): string {
	// V8 names the place twice; the line of a line is always the first.
	const why = (error as Error).message
		.replace(/ \(line 1 column \d+\)$/, "")
		.replace(/, ("|\.\.\.").*is not valid JSON$/s, "");
	return `line ${line} is not JSON (${why}): ${excerpt(text)}; each line must be one whole JSON object`;
}

/** The beginning of a text for an error message, on one line. */
function excerpt(text: string): string {
	const begin = JSON.stringify(text.slice(0, 48))
		.slice(1, -1)
		.replaceAll('\\"', '"');
	return text.length > 48 ? `${begin}…` : begin;
}
