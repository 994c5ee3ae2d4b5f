/** Owns what goes to standard output and standard error: colours for a terminal only, and text of others made harmless. */
import { styleText } from "node:util";
import { errorText, TurnkeeperError } from "../errors.ts";

type Style = Parameters<typeof styleText>[0];

/** To standard output, with a line end. */
export function print(text: string): void {
	process.stdout.write(`${text}\n`);
}

/** Exactly one JSON value. */
export function printJson(value: unknown): void {
	print(JSON.stringify(value));
}

/** One line to standard error, in the program's name. */
export function complain(text: string): void {
	process.stderr.write(`turnkeeper: ${printable(text)}\n`);
}

/** What ends the program, with the page that says more where there is one. */
export function complainOf(error: unknown): void {
	complain(error instanceof TurnkeeperError ? error.message : errorText(error));
}

/** Colours where a person looks on and has not asked to be spared (https://no-color.org). */
export function paint(style: Style, text: string): string {
	return process.stdout.isTTY && !process.env.NO_COLOR
		? styleText(style, text, { validateStream: false })
		: text;
}

/**
 * Text from keys, logs and hosts on one line, with nothing in it that a terminal would obey.
 *
 * @example printable("a\u001b[2Jb\n") // "a\\u001b[2Jb\\n"
 */
export function printable(text: string): string {
	return text.replace(
		// Control characters, and those that turn the direction of writing.
		/[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]/gu,
		(character) => {
			const known = { "\n": "\\n", "\r": "\\r", "\t": "\\t" }[character];
			const code = character.codePointAt(0) ?? 0;
			return known ?? `\\u${code.toString(16).padStart(4, "0")}`;
		},
	);
}
