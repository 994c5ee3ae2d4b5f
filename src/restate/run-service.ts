/**
 * Owns the service that executes runs: one invocation for each, which a signal tells what has become of its run. What it returns is the
 * session's to judge, by the ticket. An invocation that Restate begins again executes nothing: the process that had it is dead or cut off,
 * and unless that says in time how its executor ended, the run was interrupted.
 */
import { setTimeout as pause } from "node:timers/promises";
import {
	type Context,
	handlers,
	InvocationIdParser,
	RestatePromise,
	rpc,
	service,
} from "@restatedev/restate-sdk";
import type { Message } from "../../machines/facts.ts";
import type { JsonValue } from "../../machines/json.ts";
import { messageOf } from "../../machines/line.ts";
import { type RunTicket, ticketId } from "../../machines/ticket.ts";
import { checkJson, checkSchema, copied, shown } from "../arguments.ts";
import type { Config } from "../config.ts";
import { errorText, isAbort, RunAborted } from "../errors.ts";
import { type ServicesConfig, untilItHolds } from "./config.ts";
import type { Door } from "./door.ts";
import {
	type Executed,
	type Left,
	type ProgressApi,
	progressService,
	type RunReturn,
	type RunStart,
	type RunView,
	runsService,
	type SessionApi,
	sessionsService,
	signalName,
} from "./protocol.ts";
import { RemoteManagedRun, RunLife } from "./remote-run.ts";

/** Until a session is told again that could not be reached, in ms. */
const tellAgainMs = 1000;

/** For those who still follow a run that has ended. */
const forgetAfter = { minutes: 1 };

/** By which an invocation is told how the executor of a process ended that it is cut off from. */
const leftSignal = "left";

/** For Restate's own calls alone: not by its ingress. */
function internal<Arg>(handler: (ctx: Context, arg: Arg) => Promise<void>) {
	return handlers.handler({ ingressPrivate: true }, handler);
}

export function runService<Input, Output, Meta>(
	config: ServicesConfig<Input, Output, Meta>,
	door: Door,
) {
	return service({
		name: runsService,
		options: {
			// A run may be silent for as long as it takes; how long that is allowed to be is the session's to say.
			inactivityTimeout: { days: 365 },
			retryPolicy: untilItHolds,
		},
		handlers: {
			left: async (ctx: Context, { invocation, executed }: Left) =>
				ctx
					.invocation(InvocationIdParser.fromString(invocation))
					.signal(leftSignal)
					.resolve(executed),
			execute: internal(
				async (ctx: Context, start: RunStart): Promise<void> => {
					const { ticket } = start;
					let isFirst = false;
					await ctx.run("begin", () => {
						isFirst = true;
					});
					const life = new RunLife(ticket, start.view);
					const { attemptCompletedSignal: cut, id } = ctx.request();
					/** Until Restate has taken note of it. */
					let unnoted: Executed | null = null;
					cut.addEventListener("abort", () => {
						if (unnoted) void door.left({ invocation: id, executed: unnoted });
						else if (!life.isReturned)
							life.abort(
								new RunAborted("shutdown", "the connection to Restate ended"),
							);
					});
					const work = ctx.run("execute", async (): Promise<Executed> => {
						if (!isFirst) return await gone(config, ticket);
						unnoted = await execute(config, door, life, start);
						if (cut.aborted)
							await door.left({ invocation: id, executed: unnoted });
						return unnoted;
					});
					const left = ctx.signal<Executed>(leftSignal);
					let executed: Executed | null = null;
					for (let told = 1; !executed; told += 1) {
						const next = ctx.signal<RunView>(signalName(told));
						const first = await RestatePromise.race([
							work.map((one) => ({ executed: one ?? null, view: null })),
							left.map((one) => ({ executed: one ?? null, view: null })),
							next.map((view) => ({ executed: null, view: view ?? null })),
						]);
						executed = first.executed;
						if (!first.view) continue;
						life.see(first.view);
						// Its executor may never end; what it holds is given back all the same.
						if (first.view.isOver) void disposed(config, life);
					}
					unnoted = null;
					const { hasTold, ...returned } = executed;
					ctx
						.objectSendClient<SessionApi>(
							{ name: sessionsService },
							ticket.sessionKey,
						)
						.returned({ ...returned, ticket });
					if (hasTold)
						ctx
							.objectSendClient<ProgressApi>(
								{ name: progressService },
								ticketId(ticket),
							)
							.forget(rpc.sendOpts({ delay: forgetAfter }));
				},
			),
		},
	});
}

/**
 * The process that began to execute is dead, or cut off and told to stop: it has its grace period to say how its executor ended. Then it
 * counts as dead.
 */
async function gone(
	{
		clock,
		graceMs,
		nowFor,
	}: Pick<ServicesConfig<never, never, never>, "clock" | "graceMs" | "nowFor">,
	{ sessionKey }: RunTicket,
): Promise<Executed> {
	await new Promise<void>((resolve) => clock.setTimeout(resolve, graceMs));
	return {
		at: nowFor(sessionKey),
		outcome: "interrupted",
		error: "the process that executed it is gone",
		messages: [],
		unread: [],
		hasTold: true,
	};
}

/** Never throws: whatever the executor does is how its run ended. */
async function execute<Input, Output, Meta>(
	config: ServicesConfig<Input, Output, Meta>,
	door: Door,
	life: RunLife,
	start: RunStart,
): Promise<Executed> {
	const { logger, schemas } = config;
	const open = async (message: Message): Promise<Message<Input>> => {
		const input = copied(message.input);
		if (!schemas) return { ...message, input: input as Input };
		const name = `input of message ${shown(message.messageId)}`;
		return { ...message, input: await checkSchema(schemas.input, input, name) };
	};
	let run: RemoteManagedRun<Input, Meta> | null = null;
	let end: Pick<RunReturn, "error" | "outcome" | "output">;
	try {
		run = new RemoteManagedRun<Input, Meta>(door, life, logger, {
			messages: await Promise.all(
				start.messages.map((message) => open(messageOf(message))),
			),
			skipped: await openAll(start.skipped, open),
			open,
		});
		life.signal.throwIfAborted();
		const output = await config.execute?.(run);
		const checked: unknown = schemas?.output
			? await checkSchema(schemas.output, output, "output")
			: output;
		end = {
			outcome: "completed",
			...(checked === undefined
				? {}
				: { output: checkJson(checked, "what execute returned") as JsonValue }),
		};
	} catch (error) {
		// That a stopped run stopped is no error.
		end =
			life.signal.aborted && isAbort(error)
				? { outcome: "failed" }
				: { outcome: "failed", error: errorText(error) };
	}
	// What a process did whose run was taken from it is no failure of its own.
	if (
		life.signal.aborted &&
		isCut(life.signal.reason) &&
		end.outcome === "failed"
	)
		end = { ...end, outcome: "interrupted" };
	life.return();
	await rest(door, life);
	await disposed(config, life);
	// What is disposed may begin something for the last time.
	await rest(door, life);
	return {
		...end,
		at: config.nowFor(life.ticket.sessionKey),
		messages: [...start.messages, ...(run?.taken ?? [])],
		unread: run?.unread ?? [],
		hasTold: life.hasTold,
	};
}

function isCut(reason: unknown): boolean {
	return reason instanceof RunAborted && reason.by === "shutdown";
}

/** Resolves when nothing that the run has begun is under way. */
async function rest(door: Door, life: RunLife): Promise<void> {
	await Promise.allSettled(life.pending);
	const children = life.children.splice(0);
	if (children.length === 0) return;
	for (let isTold = false; !isTold; )
		isTold = await door.act(life.ticket, "rest", []).then(
			() => true,
			() => pause(tellAgainMs, false),
		);
	await Promise.all(children.map(({ settled }) => settled));
}

/** What can no longer be read is no reason to run nothing. */
async function openAll<Input>(
	messages: readonly Message[],
	open: (message: Message) => Promise<Message<Input>>,
): Promise<readonly Message<Input>[]> {
	const opened = await Promise.allSettled(messages.map(open));
	return opened
		.filter((one) => one.status === "fulfilled")
		.map(({ value }) => value);
}

/** Within the grace period; the end does not wait any longer. */
async function disposed(
	{
		clock,
		graceMs,
		logger,
	}: Pick<Config<never, never, never>, "clock" | "graceMs" | "logger">,
	life: RunLife,
): Promise<void> {
	const { ticket } = life;
	const late = Promise.withResolvers<void>();
	const timer = clock.setTimeout(() => {
		logger.warn(
			{ ticket },
			`the scope of run ${ticket.runId} was not disposed within ${graceMs} ms; its end does not wait any longer`,
		);
		late.resolve();
	}, graceMs);
	await Promise.race([life.dispose(logger), late.promise]);
	clock.clearTimeout(timer);
}
