/**
 * Owns the instruments. No attribute of a metric holds a key, an id or a text of anybody's: each has a handful of values. Durations are in
 * seconds, as the semantic conventions have them.
 */
import type {
	BatchObservableCallback,
	Counter,
	Histogram,
	Meter,
	ObservableUpDownCounter,
} from "@opentelemetry/api";
import type { Refusal } from "../../machines/report.ts";
import type { RunRecord } from "../../machines/run.ts";
import { TurnkeeperError } from "../errors.ts";
import type { RuntimeStats } from "../runtime.ts";
import { harmless } from "./harmless.ts";
import { attributes, other } from "./names.ts";

/** Seconds, from a quick reply to an agent that works for minutes. */
const runSeconds = [
	0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48,
	40.96, 81.92, 163.84, 327.68, 655.36,
];
/** Seconds, from memory to a disk in trouble. */
const commitSeconds = [
	0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25,
	0.5, 1, 2.5, 5,
];
const commitSizes = [1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000];

const phases: readonly string[] = ["start", "progress", "end", "error"];

export class Metrics {
	readonly #meter: Meter;
	readonly #started: Counter;
	readonly #ended: Counter;
	readonly #duration: Histogram;
	readonly #drain: Histogram;
	readonly #wait: Histogram;
	readonly #refusals: Counter;
	readonly #troubles: Counter;
	readonly #commitDuration: Histogram;
	readonly #commitSize: Histogram;

	constructor(meter: Meter) {
		this.#meter = meter;
		const count = (name: string, unit: string, description: string) =>
			meter.createCounter(name, { unit, description });
		const spread = (
			name: string,
			unit: string,
			explicitBucketBoundaries: number[],
			description: string,
		) =>
			meter.createHistogram(name, {
				unit,
				description,
				advice: { explicitBucketBoundaries },
			});
		this.#started = count(
			"turnkeeper.run.started",
			"{run}",
			"Runs that became live.",
		);
		this.#ended = count(
			"turnkeeper.run.ended",
			"{run}",
			"Runs that settled, by outcome and by what told them to stop.",
		);
		this.#duration = spread(
			"turnkeeper.run.duration",
			"s",
			runSeconds,
			"How long runs took that began and settled in this process.",
		);
		this.#drain = spread(
			"turnkeeper.run.drain_time",
			"s",
			runSeconds,
			"How long runs took to settle once they were told to stop.",
		);
		this.#wait = spread(
			"turnkeeper.message.wait_time",
			"s",
			runSeconds,
			"How long messages waited from their acceptance until their executor was called.",
		);
		this.#refusals = count(
			"turnkeeper.refusals",
			"{refusal}",
			"Reports that were not applied, by verdict, and sends and admissions that were refused, by the code of their error.",
		);
		this.#troubles = count(
			"turnkeeper.troubles",
			"{error}",
			"What went wrong where nobody waits for an answer, by the code of the error.",
		);
		this.#commitDuration = spread(
			"turnkeeper.commit.duration",
			"s",
			commitSeconds,
			"How long the store took to commit, with error.type if it failed.",
		);
		this.#commitSize = spread(
			"turnkeeper.commit.size",
			"{session}",
			commitSizes,
			"Sessions in one commit.",
		);
	}

	started(): void {
		this.#started.add(1);
	}

	/** `seconds` since it began, null if that was not seen; `drained` since it was told to stop, null if it was not. */
	ended(
		{ outcome, stoppedBy }: RunRecord,
		seconds: number | null,
		drained: number | null,
	): void {
		const ended = { [attributes.outcome]: outcome ?? other };
		const stopped = stoppedBy
			? { ...ended, [attributes.stopCause]: stoppedBy }
			: ended;
		this.#ended.add(1, stopped);
		if (seconds !== null) this.#duration.record(seconds, ended);
		if (drained !== null) this.#drain.record(drained, stopped);
	}

	waited(seconds: number): void {
		this.#wait.record(seconds);
	}

	refusedReport({ verdict, report }: Refusal): void {
		this.#refusals.add(1, {
			[attributes.refusedCall]: "report",
			[attributes.refusalReason]: verdict,
			[attributes.phase]: phaseOf(report),
		});
	}

	refusedCall(call: "send" | "admit", error: unknown): void {
		this.#refusals.add(1, {
			[attributes.refusedCall]: call,
			[attributes.refusalReason]: codeOf(error),
		});
	}

	trouble(error: unknown): void {
		this.#troubles.add(1, { [attributes.error]: codeOf(error) });
	}

	commit(sessions: number, seconds: number, error: unknown): void {
		const failed = error === null ? {} : { [attributes.error]: codeOf(error) };
		this.#commitDuration.record(seconds, failed);
		if (error === null) this.#commitSize.record(sessions);
	}

	/** Asks for the numbers of the moment whenever metrics are collected, until the function that it gives back is called. */
	watch(stats: () => RuntimeStats): () => void {
		const gauges = (
			[
				[
					"resident",
					"turnkeeper.session.resident",
					"{session}",
					"Session actors in memory.",
				],
				[
					"running",
					"turnkeeper.run.active",
					"{run}",
					"Live runs, also those that were told to stop.",
				],
				[
					"draining",
					"turnkeeper.run.draining",
					"{run}",
					"Runs of older generations that have not settled.",
				],
				[
					"queued",
					"turnkeeper.message.queued",
					"{message}",
					"Messages that wait for a run.",
				],
			] as const
		).map(([number, name, unit, description]) => ({
			number,
			gauge: this.#meter.createObservableUpDownCounter(name, {
				unit,
				description,
			}),
		}));
		const all: ObservableUpDownCounter[] = gauges.map(({ gauge }) => gauge);
		const observe: BatchObservableCallback = (result) =>
			harmless(() => {
				const numbers = stats();
				for (const { number, gauge } of gauges)
					result.observe(gauge, numbers[number]);
			}, undefined);
		this.#meter.addBatchObservableCallback(observe, all);
		return () => this.#meter.removeBatchObservableCallback(observe, all);
	}
}

/** What a malformed report says is anybody's word. */
export function phaseOf(report: Refusal["report"] | null): string {
	const phase = report?.phase;
	return phase !== undefined && phases.includes(phase) ? phase : other;
}

/** Errors are told apart by their code; whatever else was thrown is of no known kind. */
export function codeOf(error: unknown): string {
	return error instanceof TurnkeeperError ? error.code : other;
}
