/**
 * Owns the recording of a history: a runtime, its runs and its executor, each behind a door that notes what is called, when, and what it was
 * told. Never changes a call or an answer.
 */
import type { JsonValue } from "../../machines/json.ts";
import type { RunRecord } from "../../machines/run.ts";
import { type RunTicket, ticketId } from "../../machines/ticket.ts";
import { behind } from "../behind.ts";
import { errorText, TurnkeeperError } from "../errors.ts";
import type {
	AdmittedRun,
	Answer,
	EmbeddedRuntime,
	ManagedRun,
	SessionRuntime,
	StopReport,
} from "../runtime.ts";
import type { HistoryCall, HistoryCalls } from "./history.ts";

/** A recording under way. */
export interface HistoryRecorder {
	/** All that was called so far, in the order of the calls. For `checkHistory`. */
	readonly calls: readonly HistoryCall[];
	/** The runtime, recorded. What is called on the one that was given is not. */
	runtime<Input, Output, Meta>(
		runtime: EmbeddedRuntime<Input, Output, Meta>,
	): EmbeddedRuntime<Input, Output, Meta>;
	runtime<Input, Output, Meta>(
		runtime: SessionRuntime<Input, Output, Meta>,
	): SessionRuntime<Input, Output, Meta>;
	/** An executor whose runs are recorded, for the options of the runtime. */
	executor<Input, Output, Meta>(
		execute: (run: ManagedRun<Input, Meta>) => Promise<Output> | Output,
	): (run: ManagedRun<Input, Meta>) => Promise<Output>;
	/** A run has settled, as its record says. To be told where the runtime has no feed (`subscribe`) that tells it. */
	over(run: RunRecord): void;
	/** Call it when the runtime is idle: what runs have used counts from now on, or never did. */
	settled(): void;
	/** The process is gone: what was not answered may have taken effect, and nothing will any more. */
	crashed(): void;
	/** The next one has started, and settled what the last one left. */
	restarted(): void;
}

interface Noted {
	readonly key: string;
	readonly call: keyof HistoryCalls;
	readonly given: unknown;
	invokedAt: number;
	answeredAt: number | null;
	told?: unknown;
	error?: string;
}

/**
 * Records what is called on a runtime, for `checkHistory`.
 *
 * @example
 * const recorder = recordHistory();
 * const runtime = recorder.runtime(createSessionRuntime({ store, execute: recorder.executor(execute) }));
 * await Promise.all([runtime.send("a", 1), runtime.reset("a"), runtime.patch("a", { n: 1 })]);
 * const verdict = checkHistory(recorder.calls);
 */
export function recordHistory(): HistoryRecorder {
	return new Recorder();
}

class Recorder implements HistoryRecorder {
	readonly #noted: Noted[] = [];
	#time = 0;
	/** Runs whose executor was called, by ticket. */
	#began = new Set<string>();
	/** Runs whose executor has returned, by ticket. */
	#ended = new Map<string, Noted>();
	#settled = new Set<string>();
	#crashedAt: number | null = null;

	get calls(): readonly HistoryCall[] {
		return this.#noted as unknown as readonly HistoryCall[];
	}

	#tick(): number {
		this.#time += 1;
		return this.#time;
	}

	#invoke<Name extends keyof HistoryCalls>(
		key: string,
		call: Name,
		given: HistoryCalls[Name]["given"],
	): Noted {
		const noted: Noted = {
			key,
			call,
			given: copied(given),
			invokedAt: this.#tick(),
			answeredAt: null,
		};
		this.#noted.push(noted);
		return noted;
	}

	#answer(noted: Noted, told: unknown): void {
		// What comes after the end of its process reached nobody.
		if (noted.answeredAt !== null) return;
		noted.answeredAt = this.#tick();
		noted.told = copied(told);
	}

	#refuse(noted: Noted, error: unknown): void {
		if (noted.answeredAt !== null) return;
		noted.answeredAt = this.#tick();
		const code = error instanceof TurnkeeperError ? error.code : "THROWN";
		// Whether its commit holds is not known: it is neither told nor refused.
		const isInDoubt =
			code === "STORE_FAILED" && /is not known/.test(errorText(error));
		if (!isInDoubt) noted.error = code;
	}

	async #note<Name extends keyof HistoryCalls, Answer>(
		key: string,
		call: Name,
		given: HistoryCalls[Name]["given"],
		act: () => Promise<Answer>,
		told: (answer: Answer) => unknown = (answer) => answer,
	): Promise<Answer> {
		const noted = this.#invoke(key, call, given);
		try {
			const answer = await act();
			this.#answer(noted, told(answer));
			return answer;
		} catch (error) {
			this.#refuse(noted, error);
			throw error;
		}
	}

	runtime<Input, Output, Meta>(
		runtime: SessionRuntime<Input, Output, Meta>,
	): EmbeddedRuntime<Input, Output, Meta> {
		const inner = runtime as unknown as EmbeddedRuntime;
		this.#follow(inner);
		const doors: Partial<EmbeddedRuntime> = {
			send: (key, input, options) =>
				this.#note(
					key,
					"send",
					{ input, ...options },
					() => inner.send(key, input, options),
					({ disposition, messageId, ticket, row }) => ({
						disposition,
						messageId,
						ticket,
						row,
					}),
				),
			admit: async (key, options) =>
				this.#admitted(
					await this.#note(
						key,
						"admit",
						options ?? {},
						() => inner.admit(key, options),
						({ ticket }) => ({ ticket }),
					),
				),
			report: (report) =>
				report.sessionKey === undefined
					? inner.report(report)
					: this.#note(report.sessionKey, "report", report, () =>
							inner.report(report),
						),
			reset: (key, options) =>
				this.#note(key, "reset", options ?? {}, () =>
					this.#stop(inner.reset(key, options)),
				),
			abort: (key, options) =>
				this.#note(key, "abort", options ?? {}, () =>
					this.#stop(inner.abort(key, options)),
				),
			delete: (key, options) =>
				this.#note(key, "delete", options ?? {}, () =>
					this.#stop(inner.delete(key, options)),
				),
			patch: (key, meta, options) =>
				this.#note(key, "patch", { meta, ...options }, () =>
					inner.patch(key, meta, options),
				),
			resume: (ticket, name, value) =>
				this.#note(ticket.sessionKey, "resume", { ticket, name, value }, () =>
					inner.resume(ticket, name, value),
				),
			get: (key) => this.#note(key, "get", {}, () => inner.get(key)),
			queue: {
				list: (key) => inner.queue.list(key),
				update: (key, messageId, change) =>
					this.#note(key, "queue.update", { messageId, ...change }, () =>
						inner.queue.update(key, messageId, change),
					),
				remove: (key, messageId) =>
					this.#note(key, "queue.remove", { messageId }, () =>
						inner.queue.remove(key, messageId),
					),
			},
		};
		const recorded = behind(inner, doors);
		// Who goes on with what `start` gives is recorded too.
		doors.start = async () => {
			await inner.start();
			return recorded;
		};
		return recorded as unknown as EmbeddedRuntime<Input, Output, Meta>;
	}

	/** How runs settled, and which of them were abandoned, is told by the feed where there is one. */
	#follow(runtime: EmbeddedRuntime): void {
		if (typeof runtime.subscribe !== "function") return;
		runtime.subscribe((event) => {
			if (event.type === "run" && this.#crashedAt === null)
				this.over(event.run);
		});
	}

	over(run: RunRecord): void {
		const id = ticketId(run);
		// A record may be completed after its run has settled.
		if (run.outcome === null || this.#settled.has(id)) return;
		this.#settled.add(id);
		const ended = this.#ended.get(id);
		if (run.outcome === "abandoned") {
			const noted = this.#invoke(run.sessionKey, "run.overdue", {
				ticket: ticketIn(run),
			});
			// Some time before: nobody saw when.
			noted.invokedAt = 0;
			this.#answer(noted, null);
			return;
		}
		const told = { outcome: run.outcome, stoppedBy: run.stoppedBy };
		if (ended) this.#answer(ended, told);
		else if (run.messageIds.length > 0 && !this.#began.has(id)) {
			// Told to stop in the commit that admitted it: its executor was never called.
			const noted = this.#invoke(run.sessionKey, "run.ended", {
				ticket: ticketIn(run),
				outcome: "failed",
			});
			noted.invokedAt = 0;
			this.#answer(noted, told);
		}
	}

	/** What a stop tells of runs: it is known before the stop is answered. */
	async #stop<Answered extends Answer<StopReport>>(
		stop: Promise<Answered>,
	): Promise<Answered> {
		const answer = await stop;
		if (answer.result === "done")
			for (const run of [...answer.report.drained, ...answer.report.abandoned])
				this.over(run);
		return answer;
	}

	executor<Input, Output, Meta>(
		execute: (run: ManagedRun<Input, Meta>) => Promise<Output> | Output,
	): (run: ManagedRun<Input, Meta>) => Promise<Output> {
		return async (run) => {
			const { ticket } = run;
			const began = this.#invoke(ticket.sessionKey, "run.began", {
				ticket,
				messageIds: run.messages.map(({ messageId }) => messageId),
			});
			this.#began.add(ticketId(ticket));
			// It was taken some time before.
			began.invokedAt = 0;
			this.#answer(began, null);
			const end = (outcome: "completed" | "failed", error?: string) => {
				const noted = this.#invoke(run.ticket.sessionKey, "run.ended", {
					ticket: run.ticket,
					outcome,
					error,
				});
				this.#ended.set(ticketId(run.ticket), noted);
			};
			try {
				const output = await execute(this.#managed(run));
				end("completed");
				return output;
			} catch (error) {
				end("failed", errorText(error));
				throw error;
			}
		};
	}

	#managed<Input, Meta>(run: ManagedRun<Input, Meta>): ManagedRun<Input, Meta> {
		return behind(run, this.#run(run as ManagedRun<never, never>) as object);
	}

	/** What any run may call. */
	#run(run: ManagedRun<never, never> | AdmittedRun<never>) {
		const { sessionKey: key } = run.ticket;
		const ticket = () => run.ticket;
		return {
			append: (entry: JsonValue) =>
				this.#note(
					key,
					"run.append",
					{ ticket: ticket(), entry },
					() => run.append(entry),
					() => null,
				),
			rotate: (options?: { sessionId?: string }) =>
				this.#note(key, "run.rotate", { ticket: ticket(), ...options }, () =>
					run.rotate(options),
				),
			waitFor: (name: string, options?: { timeoutMs?: number }) =>
				this.#note(key, "run.waitFor", { ticket: ticket(), name }, () =>
					run.waitFor(name, options),
				),
			deliver: (name: string, effect: Parameters<typeof run.deliver>[1]) =>
				this.#note(
					key,
					"run.deliver",
					{ ticket: ticket(), name },
					() => run.deliver(name, effect),
					(output) => output ?? null,
				),
			usage: (tokens: { inputTokens?: number; outputTokens?: number }) => {
				this.#invoke(key, "run.usage", { ticket: ticket(), ...tokens });
				run.usage(tokens);
			},
		};
	}

	#admitted<Meta>(run: AdmittedRun<Meta>): AdmittedRun<Meta> {
		const { sessionKey: key } = run.ticket;
		const doors: Partial<AdmittedRun<Meta>> = {
			...(this.#run(run as AdmittedRun<never>) as object),
			start: (options) =>
				this.#note(
					key,
					"report",
					{ ...run.ticket, phase: "start", ...options },
					() => run.start(options),
				),
			end: (options) =>
				this.#note(
					key,
					"report",
					{ ...run.ticket, phase: "end", ...options },
					() => run.end(options),
				),
			fail: (error, options) =>
				this.#note(
					key,
					"report",
					{
						...run.ticket,
						phase: "error",
						error: errorText(error),
						...options,
					},
					() => run.fail(error, options),
				),
			[Symbol.asyncDispose]: () =>
				this.#note(
					key,
					"run.released",
					{ ticket: run.ticket },
					async () => run[Symbol.asyncDispose](),
					() => null,
				),
		};
		return behind(run, doors);
	}

	settled(): void {
		for (const noted of this.#noted)
			if (noted.call === "run.usage") this.#answer(noted, null);
	}

	crashed(): void {
		this.#crashedAt = this.#tick();
		for (const noted of this.#noted) noted.answeredAt ??= this.#crashedAt;
		this.#ended.clear();
	}

	restarted(): void {
		const invokedAt = this.#crashedAt ?? this.#time;
		this.#crashedAt = null;
		for (const key of new Set(this.#noted.map((noted) => noted.key)))
			this.#noted.push({
				key,
				call: "restart",
				given: {},
				invokedAt,
				answeredAt: this.#tick(),
				told: null,
			});
	}
}

function ticketIn(run: RunRecord): RunTicket {
	const { sessionKey, sessionId, generation, runId, attempt } = run;
	return { sessionKey, sessionId, generation, runId, attempt };
}

/** As it was said, whatever becomes of it. */
function copied(value: unknown): unknown {
	return value === undefined ? undefined : JSON.parse(JSON.stringify(value));
}
