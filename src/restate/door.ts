/** Owns the way from a process to the objects of its sessions: Restate's ingress, and what is told when it leads nowhere. */
import { setTimeout as pause } from "node:timers/promises";
import {
	connect,
	type Ingress,
	type Opts,
	rpc,
} from "@restatedev/restate-sdk-clients";
import type { ChildOf, TranscriptEntry } from "../../machines/facts.ts";
import type { JsonValue } from "../../machines/json.ts";
import type { LifecycleReport, Verdict } from "../../machines/report.ts";
import { type RunTicket, ticketId } from "../../machines/ticket.ts";
import { errorText, TurnkeeperError } from "../errors.ts";
import { freshSessionId } from "../ids.ts";
import type { Logger } from "../logger.ts";
import type { SendReceipt, Settled } from "../runtime.ts";
import type { Page, TranscriptQuery } from "../store.ts";
import {
	type ActName,
	type Answered,
	type Asked,
	type CallName,
	type Left,
	type ProgressApi,
	type ProgressPage,
	progressService,
	protocolVersion,
	type ReadName,
	type RunsApi,
	type RunView,
	runsService,
	type SessionApi,
	type StopName,
	sessionsService,
	toldBy,
	type WaitedFor,
} from "./protocol.ts";
import { type Accepted, RemoteReceipt } from "./receipt.ts";

/** Between two tries to reach Restate again. */
const pauseMs = 200;

export class Door {
	readonly #ingress: Ingress;
	readonly #url: string;
	readonly #timeoutMs: number;
	readonly #nowFor: (sessionKey: string) => number;

	/** `nowFor`: the time that a call brings to a session. */
	constructor(
		url: string,
		timeoutMs: number,
		headers: Record<string, string> | undefined,
		nowFor: (sessionKey: string) => number,
	) {
		this.#nowFor = nowFor;
		this.#url = url;
		this.#timeoutMs = timeoutMs;
		this.#ingress = connect({ url, ...(headers ? { headers } : {}) });
	}

	#session(sessionKey: string) {
		return this.#ingress.objectClient<SessionApi>(
			{ name: sessionsService },
			sessionKey,
		);
	}

	async call<Value>(
		sessionKey: string,
		name: CallName,
		args: readonly unknown[],
	): Promise<Value> {
		const asked = this.#asked(sessionKey, name, args);
		const call = (opts: Opts<never, Answered>) =>
			this.#session(sessionKey).call(asked, opts);
		// A message has an id of its own, by which its sender may send it again.
		const answer =
			name === "send"
				? await this.#reach<Answered>(name, call)
				: await this.#outlast<Answered>(name, call, { isBounded: true });
		return toldBy(answer) as Value;
	}

	async stop<Value>(
		sessionKey: string,
		name: StopName,
		args: readonly unknown[],
	): Promise<Value> {
		const asked = this.#asked(sessionKey, name, args);
		const answer = await this.#outlast<Answered>(name, (opts) =>
			this.#session(sessionKey).stop(asked, opts),
		);
		return toldBy(answer) as Value;
	}

	async read<Value>(
		sessionKey: string,
		name: ReadName,
		args: readonly unknown[] = [],
	): Promise<Value> {
		const asked = this.#asked(sessionKey, name, args);
		const answer = await this.#reach<Answered>(name, (opts) =>
			this.#session(sessionKey).read(asked, opts),
		);
		return toldBy(answer) as Value;
	}

	async act(
		ticket: RunTicket,
		name: ActName,
		args: readonly unknown[],
	): Promise<{ readonly value: unknown; readonly view: RunView }> {
		const { sessionKey } = ticket;
		const act = { ...this.#asked(sessionKey, name, args), ticket };
		const answer = await this.#outlast<Answered>(
			name,
			(opts) => this.#session(sessionKey).act(act, opts),
			{ isBounded: true },
		);
		return toldBy(answer) as never;
	}

	/** Resolves when it has come to pass, however long that takes. */
	async wait<Value>(
		sessionKey: string,
		awaited: WaitedFor,
		signal?: AbortSignal,
	): Promise<Value> {
		const answer = await this.#outlast(
			"wait",
			(opts) =>
				this.#session(sessionKey).wait(
					{ at: this.#nowFor(sessionKey), for: awaited },
					opts,
				),
			signal ? { signal } : {},
		);
		return answer as Value;
	}

	/** How a message ended, whenever that is. Never rejects; where Restate is not there, it is asked again until it is. */
	async endOf<Output>(
		sessionKey: string,
		messageId: string,
		logger: Logger,
		signal?: AbortSignal,
	): Promise<Settled<Output>> {
		const awaited = { of: "message", messageId } as const;
		for (;;)
			try {
				return await this.wait<Settled<Output>>(sessionKey, awaited, signal);
			} catch (error) {
				if (signal?.aborted) return { ticket: null, outcome: "interrupted" };
				logger.warn(
					{ error, sessionKey, messageId },
					`the end of message ${messageId} is not known just now: ${errorText(error)}`,
				);
				await pause(this.#timeoutMs);
			}
	}

	/** A message that a run spawned, with that run's word. */
	async receive(
		sessionKey: string,
		input: JsonValue,
		messageId: string,
		child: ChildOf,
		logger: Logger,
	): Promise<SendReceipt> {
		const accepted = await this.call<Accepted>(sessionKey, "receive", [
			input,
			messageId,
			child,
		]);
		return new RemoteReceipt(accepted, () =>
			this.endOf(sessionKey, messageId, logger),
		);
	}

	transcript(
		sessionKey: string,
		query: TranscriptQuery,
	): Promise<Page<TranscriptEntry>> {
		return this.read(sessionKey, "transcript", [query]);
	}

	async progress(
		ticket: RunTicket,
		values: readonly JsonValue[],
	): Promise<void> {
		await this.#outlast<void>(
			"progress",
			(opts) => this.#progress(ticket).add(values, opts),
			{ isBounded: true },
		);
	}

	told(ticket: RunTicket, from: number): Promise<ProgressPage> {
		return this.#reach("follow", (opts) =>
			this.#progress(ticket).read(from, opts),
		);
	}

	/** Resolves when there is something. */
	tells(
		ticket: RunTicket,
		from: number,
		signal: AbortSignal,
	): Promise<ProgressPage> {
		return this.#outlast(
			"follow",
			(opts) => this.#progress(ticket).follow(from, opts),
			{ signal },
		);
	}

	/** Tells an invocation that this process is cut off from how its executor ended. Never rejects: if Restate cannot be told, the run ends when its grace period is over. */
	async left(left: Left): Promise<void> {
		const runs = this.#ingress.serviceClient<RunsApi>({ name: runsService });
		await this.#reach<void>("left", (opts) => runs.left(left, opts)).catch(
			() => {},
		);
	}

	#progress(ticket: RunTicket) {
		return this.#ingress.objectClient<ProgressApi>(
			{ name: progressService },
			ticketId(ticket),
		);
	}

	report(report: LifecycleReport & { readonly sessionKey: string }) {
		return this.call<Verdict>(report.sessionKey, "report", [report]);
	}

	/** What was left out at the end stays so: JSON would make it null. */
	#asked<Name extends string>(
		sessionKey: string,
		name: Name,
		args: readonly unknown[],
	): Asked<Name> {
		const given = args.findLastIndex((one) => one !== undefined);
		return {
			protocol: protocolVersion,
			at: this.#nowFor(sessionKey),
			name,
			args: args.slice(0, given + 1),
		};
	}

	async #reach<Value>(
		name: string,
		ask: (opts: Opts<never, Value>) => PromiseLike<Value>,
	): Promise<Value> {
		try {
			return await ask(rpc.opts({ timeout: this.#timeoutMs }));
		} catch (error) {
			throw this.#failure(name, error);
		}
	}

	/**
	 * A connection may break before the answer has come; asked again under the same key, Restate goes on with the same call. Bounded: the answer
	 * waits for no run.
	 */
	async #outlast<Value>(
		name: string,
		ask: (opts: Opts<never, Value>) => PromiseLike<Value>,
		how: { readonly isBounded?: true; readonly signal?: AbortSignal } = {},
	): Promise<Value> {
		const { isBounded, signal } = how;
		const given = {
			idempotencyKey: freshSessionId(),
			...(isBounded ? { timeout: this.#timeoutMs } : {}),
			...(signal ? { signal } : {}),
		};
		/** Since when it cannot be reached. */
		let since: number | null = null;
		for (;;) {
			const asked = performance.now();
			try {
				return await ask(rpc.opts(given));
			} catch (error) {
				signal?.throwIfAborted();
				if (!mayPass(error) || isTimeout(error))
					throw this.#failure(name, error);
				const now = performance.now();
				// A wait that stood for a while was there.
				if (since === null || (!isBounded && now - asked > pauseMs))
					since = now;
				if (now - since > this.#timeoutMs) throw this.#failure(name, error);
				await pause(pauseMs, undefined, signal ? { signal } : {});
			}
		}
	}

	#failure(name: string, error: unknown): TurnkeeperError {
		const cause = { cause: error };
		const status = statusOf(error);
		if (status === 404)
			return new TurnkeeperError(
				"ENGINE_MISMATCH",
				`${name}: Restate at ${this.#url} knows no ${sessionsService}; register the deployment of sessionServices() with its admin API`,
				cause,
			);
		if (status !== null)
			return new TurnkeeperError(
				"ENGINE_FAILED",
				`${name}: Restate at ${this.#url} answered ${status}: ${errorText(error)}`,
				cause,
			);
		return new TurnkeeperError(
			"ENGINE_FAILED",
			isTimeout(error)
				? `${name}: Restate at ${this.#url} gave no answer within ${this.#timeoutMs} ms; whether the call took effect is not known`
				: `${name}: Restate at ${this.#url} cannot be reached (${errorText(error)}); it must be the URL of the ingress of a server that runs`,
			cause,
		);
	}
}

/** Whether the same call may be answered in a while: nobody was there, or a server that is about to go or to come. */
function mayPass(error: unknown): boolean {
	const status = statusOf(error);
	return status === null || [408, 425, 429, 502, 503, 504].includes(status);
}

function isTimeout(error: unknown): boolean {
	return (error as { name?: unknown } | null)?.name === "TimeoutError";
}

function statusOf(error: unknown): number | null {
	const status = (error as { status?: unknown } | null)?.status;
	return typeof status === "number" ? status : null;
}
