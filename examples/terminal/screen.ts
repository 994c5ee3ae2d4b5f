/**
 * Owns the terminal: a prompt at the bottom, and above it text that grows while somebody types. The line that grows is never longer
 * than a row of the terminal, so that it can be drawn again. Knows nothing of sessions.
 */
import { createInterface, type Interface } from "node:readline";
import { stripVTControlCharacters, styleText } from "node:util";

type Style = Parameters<typeof styleText>[0];

/** Colours where a person looks on and has not asked to be spared (https://no-color.org). */
export function paint(style: Style, text: string): string {
	return process.stdout.isTTY && !process.env.NO_COLOR
		? styleText(style, text, { validateStream: false })
		: text;
}

const segments = new Intl.Segmenter(undefined, { granularity: "grapheme" });
const wide =
	/^[\p{Emoji_Presentation}\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|\ufe0f/u;

/** Columns that a terminal gives a text. */
function width(text: string): number {
	let columns = 0;
	for (const { segment } of segments.segment(stripVTControlCharacters(text)))
		columns += wide.test(segment) ? 2 : 1;
	return columns;
}

/** Where text begins, right of its label. */
const margin = 6;

export class Screen {
	#rl: Interface;
	#out = process.stdout;
	#prompt = "> ";
	/** The line that grows, without the word that is not complete yet; null while none does. */
	#partial: string | null = null;
	#word = "";
	#hasGrown = false;
	#isWrapped = false;
	#isClosed = false;

	constructor(on: {
		line(text: string): void;
		/** Ctrl-C. */
		interrupt(): void;
		/** Ctrl-D, or the end of the input. */
		close(): void;
	}) {
		this.#rl = createInterface({
			input: process.stdin,
			output: this.#out,
			prompt: this.#prompt,
			historySize: 100,
		});
		this.#rl.on("line", (text) => {
			this.#eraseEcho(text);
			this.#draw(() => {});
			on.line(text);
		});
		this.#rl.on("SIGINT", on.interrupt);
		this.#rl.on("close", () => {
			if (this.#isClosed) return;
			this.#hide();
			this.#isClosed = true;
			on.close();
		});
		this.#rl.prompt();
	}

	/** A label and its text, wrapped, above what grows. */
	say(label: string, text: string, style?: Style): void {
		this.#draw(() => {
			wrapped(text, this.#columns - margin).forEach((line, at) => {
				const shown = style ? paint(style, line) : line;
				this.#out.write(`${this.#label(at === 0 ? label : "")}${shown}\n`);
			});
		});
	}

	/** Begins a text that grows. */
	begin(label: string): void {
		this.finish();
		this.#draw(() => {
			this.#partial = this.#label(label);
			this.#hasGrown = false;
			this.#isWrapped = false;
		});
	}

	/** More of the text that grows. */
	grow(text: string): void {
		this.#draw(() => {
			this.#hasGrown = true;
			for (const part of visible(text).split(/(\s)/)) {
				if (part === "\n") {
					this.#place();
					this.#break();
					this.#isWrapped = false;
				} else if (part === " ") {
					this.#place();
					// A line that was wrapped begins with a word.
					const line = this.#partial ?? "";
					if (!this.#isWrapped || width(line) > margin)
						this.#partial = `${line} `;
				} else this.#word += part;
			}
		});
	}

	/** The text that grows is complete. */
	finish(): void {
		if (this.#partial === null) return;
		this.#draw(() => {
			this.#place();
			if (this.#hasGrown) this.#out.write(`${this.#partial}\n`);
			this.#partial = null;
		});
	}

	set prompt(prompt: string) {
		if (prompt === this.#prompt) return;
		this.#draw(() => {
			this.#prompt = prompt;
			this.#rl.setPrompt(prompt);
		});
	}

	/** No more input; what is printed from now on is plain lines. */
	close(): void {
		if (this.#isClosed) return;
		this.finish();
		this.#hide();
		this.#isClosed = true;
		this.#rl.close();
	}

	get #columns(): number {
		return Math.max(20, this.#out.columns || 80);
	}

	#label(label: string): string {
		return label + " ".repeat(Math.max(1, margin - width(label)));
	}

	/** Puts the word that is complete now on the line, or on the next. */
	#place(): void {
		const room = this.#columns - 1;
		while (this.#word !== "") {
			const line = this.#partial ?? "";
			const free = room - width(line);
			if (width(this.#word) <= free) {
				this.#partial = line + this.#word;
				this.#word = "";
			} else if (width(line) > margin) this.#break();
			else {
				const head = fitting(this.#word, free);
				this.#partial = line + head;
				this.#word = this.#word.slice(head.length);
				this.#break();
			}
		}
	}

	#break(): void {
		this.#out.write(`${(this.#partial ?? "").trimEnd()}\n`);
		this.#partial = " ".repeat(margin);
		this.#isWrapped = true;
	}

	/** Takes prompt and growing line away, lets something be printed, and draws them again below it. */
	#draw(print: () => void): void {
		if (this.#isClosed) {
			print();
			return;
		}
		this.#hide();
		print();
		if (this.#partial !== null) this.#out.write(`${this.#partial}\n`);
		// Readline goes up by the rows that it believes to be above the cursor; after a paste it believes too little.
		(this.#rl as { prevRows?: number }).prevRows = 0;
		this.#rl.prompt(true);
	}

	#hide(): void {
		const up = this.#rl.getCursorPos().rows + (this.#partial === null ? 0 : 1);
		this.#out.write(`${up > 0 ? `\u001b[${up}A` : ""}\r\u001b[J`);
	}

	/** Readline leaves what was typed on the screen; it is said again where it belongs. */
	#eraseEcho(text: string): void {
		const rows = Math.floor(width(this.#prompt + text) / this.#columns) + 1;
		this.#out.write(`\u001b[${rows}A\r\u001b[J`);
	}
}

/** As much of the beginning of a text as has room, at least one character. */
function fitting(text: string, room: number): string {
	let head = "";
	for (const { segment } of segments.segment(text)) {
		if (head !== "" && width(head + segment) > room) break;
		head += segment;
	}
	return head;
}

/** Without what a terminal would obey. */
function visible(text: string): string {
	return text
		.replace(/\r\n?/g, "\n")
		.replace(/\t/g, " ")
		.replace(/[^\P{Cc}\n]|[\u202a-\u202e\u2066-\u2069]/gu, "");
}

function wrapped(text: string, columns: number): readonly string[] {
	const lines: string[] = [];
	for (const paragraph of visible(text).split("\n")) {
		let line: string | null = null;
		for (const word of paragraph.split(" ")) {
			let rest = word;
			if (line !== null && width(`${line} ${rest}`) >= columns) {
				lines.push(line);
				line = null;
			}
			while (width(rest) >= columns) {
				const head = fitting(rest, columns - 1);
				lines.push(head);
				rest = rest.slice(head.length);
			}
			line = line === null ? rest : `${line} ${rest}`;
		}
		lines.push(line ?? "");
	}
	return lines;
}
