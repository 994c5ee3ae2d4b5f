/**
 * Owns what a race left behind: who took part, and what passed between them, in order. Plain data, so that it may be kept, compared and
 * drawn elsewhere. Never decides what is right in it.
 */

import type { Extent } from "./lane-fold.ts";
import { type SvgOptions, svgOf } from "./lane-svg.ts";
import { textOf } from "./lane-text.ts";

/** Who takes part: the host, a session (its mailbox), one attempt of a run, or the store. */
export interface TraceLane {
	/** Unique in its trace. */
	readonly id: string;
	readonly kind: "host" | "session" | "run" | "store";
	/** As people call it. */
	readonly label: string;
	/** Null for host and store. */
	readonly sessionKey: string | null;
	/** Of a run: the generation that it belongs to; null otherwise. */
	readonly generation: number | null;
}

/** good: it took effect · late: it was filed, repeated or came to less than was asked · refused: no effect, and told so · error: something broke. */
export type TraceTone = "plain" | "good" | "late" | "refused" | "error";

/** One thing that passed from one lane to another. */
export interface TraceStep {
	/** Ms since the trace began, on the clock of the runtime. */
	readonly at: number;
	/** Which process: 1 for the first, +1 with each that starts on the same store. */
	readonly life: number;
	/**
	 * call: the host asks · answer: what it is told · begin: a run starts · act: a run does something · told: what it gets · stop: its signal
	 * fires · end: it returns or throws · kept: a row was committed · failed: a commit was not · crash, boot, close: of the process.
	 */
	readonly kind:
		| "call"
		| "answer"
		| "begin"
		| "act"
		| "told"
		| "stop"
		| "end"
		| "kept"
		| "failed"
		| "crash"
		| "boot"
		| "close";
	/** Ids of lanes; the same twice for what stays in one. */
	readonly from: string;
	readonly to: string;
	readonly label: string;
	readonly tone: TraceTone;
	/** Of the session, from a `kept` step on; null otherwise. */
	readonly generation: number | null;
}

/** A trace as JSON. */
export interface TraceData {
	/** From left to right. */
	readonly lanes: readonly TraceLane[];
	/** In order. */
	readonly steps: readonly TraceStep[];
}

/**
 * What happened, in order, and who took part.
 *
 * @example console.log(trace.text()); // a swim-lane for the terminal
 */
export class Trace implements TraceData {
	readonly lanes: readonly TraceLane[];
	readonly steps: readonly TraceStep[];

	constructor({ lanes, steps }: TraceData) {
		this.lanes = lanes;
		this.steps = steps;
	}

	/** Swim-lanes in characters: a lane is a column, a step a line. */
	text(extent: Extent = {}): string {
		return textOf(this, extent);
	}

	/** Swim-lanes as one SVG element, dark or light as the reader has it. */
	svg(options: SvgOptions = {}): string {
		return svgOf(this, options);
	}

	toJSON(): TraceData {
		return { lanes: this.lanes, steps: this.steps };
	}

	toString(): string {
		return this.text();
	}
}
