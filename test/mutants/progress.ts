/** Owns the line that says how far a run over the mutants is; on a terminal it stays one line. */
import type { Mutation } from "./mutation.ts";
import type { Verdict } from "./verdict.ts";

/** How often a line is printed where it cannot be written over. */
const everyMs = 15_000;

export class Progress {
	readonly #total: number;
	readonly #began = performance.now();
	#said = performance.now();
	#done = 0;
	#killed = 0;
	#survived = 0;

	constructor(total: number) {
		this.#total = total;
	}

	begin({ id }: Mutation): void {
		if (process.stdout.isTTY) this.#write(`\r\x1b[2K${this.#line(id)}`);
	}

	end(mutation: Mutation, verdict: Verdict, isEquivalent: boolean): void {
		this.#done += 1;
		if (verdict.fate === "killed" || verdict.fate === "hung") this.#killed += 1;
		if (verdict.fate === "survived") {
			this.#survived += 1;
			if (!isEquivalent) this.#print(`survived: ${mutation.id}`);
		}
		const now = performance.now();
		if (process.stdout.isTTY || now - this.#said < everyMs) return;
		this.#said = now;
		this.#print(this.#line(mutation.id));
	}

	stop(): void {
		this.#print(this.#line("done"));
	}

	#line(what: string): string {
		const ms = performance.now() - this.#began;
		const left = (ms / Math.max(1, this.#done)) * (this.#total - this.#done);
		const eta = this.#done === 0 ? "?" : minutesOf(left);
		return `${this.#done}/${this.#total}, ${this.#killed} killed, ${this.#survived} survived, ${eta} left: ${what}`.slice(
			0,
			process.stdout.columns ?? 160,
		);
	}

	#print(line: string): void {
		this.#write(process.stdout.isTTY ? `\r\x1b[2K${line}\n` : `${line}\n`);
	}

	#write(text: string): void {
		process.stdout.write(text);
	}
}

function minutesOf(ms: number): string {
	const seconds = Math.round(ms / 1000);
	return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}
