/**
 * Owns the service that executes runs: one invocation for each, which a signal tells what has become of its run. What it returns is the
 * session's to judge, by the ticket. An invocation that Restate begins again executes nothing: the process that had it is gone, and that
 * is how its run ended.
 */
import {
	type Context,
	RestatePromise,
	rpc,
	service,
} from "@restatedev/restate-sdk";
import type { Message, QueuedMessage } from "../../machines/facts.ts";
import type { JsonValue } from "../../machines/json.ts";
import { messageOf } from "../../machines/line.ts";
import { ticketId } from "../../machines/ticket.ts";
import { checkJson, checkSchema, copied, shown } from "../arguments.ts";
import type { Config } from "../config.ts";
import { errorText, isAbort, RunAborted } from "../errors.ts";
import type { Door } from "./door.ts";
import {
	type ProgressApi,
	progressService,
	type RunReturn,
	type RunStart,
	type RunView,
	runsService,
	type SessionApi,
	sessionsService,
} from "./protocol.ts";
import { RemoteManagedRun, RunLife } from "./remote-run.ts";
import { signalName } from "./serving.ts";

/** For those who still follow a run that has ended. */
const forgetAfter = { minutes: 1 };

interface Executed extends RunReturn {
	readonly messages: readonly QueuedMessage[];
	readonly hasTold: boolean;
}

export function runService<Input, Output, Meta>(
	config: Config<Input, Output, Meta>,
	door: Door,
) {
	return service({
		name: runsService,
		options: {
			// A run may be silent for as long as it takes; how long that is allowed to be is the session's to say.
			inactivityTimeout: { days: 365 },
			ingressPrivate: true,
			retryPolicy: { initialInterval: 50, maxInterval: 2000 },
		},
		handlers: {
			execute: async (ctx: Context, start: RunStart): Promise<void> => {
				const { ticket } = start;
				let isFirst = false;
				await ctx.run("begin", () => {
					isFirst = true;
				});
				const life = new RunLife(ticket, start.view);
				// Cut off from Restate, this process drives the run no more: another may have been told that it died.
				const { attemptCompletedSignal } = ctx.request();
				attemptCompletedSignal.addEventListener("abort", () => {
					if (!life.isReturned)
						life.abort(
							new RunAborted("shutdown", "the connection to Restate ended"),
						);
				});
				const work = ctx.run("execute", (): Promise<Executed> | Executed =>
					isFirst ? execute(config, door, life, start) : died,
				);
				for (let told = 1; ; told += 1) {
					const next = ctx.signal<RunView>(signalName(told));
					const view = await RestatePromise.race([
						work.map(() => null),
						next.map((seen) => seen ?? null),
					]);
					if (view === null) break;
					life.see(view);
				}
				const { hasTold, ...returned } = await work;
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
		},
	});
}

const died: Executed = {
	outcome: "interrupted",
	error: "the process that executed it is gone",
	messages: [],
	unread: [],
	hasTold: true,
};

/** Never throws: whatever the executor does is how its run ended. */
async function execute<Input, Output, Meta>(
	config: Config<Input, Output, Meta>,
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
	life.return();
	await rest(door, life);
	await disposed(config, life);
	// What is disposed may begin something for the last time.
	await rest(door, life);
	return {
		...end,
		messages: [...start.messages, ...(run?.taken ?? [])],
		unread: run?.unread ?? [],
		hasTold: life.hasTold,
	};
}

/** Resolves when nothing that the run has begun is under way. */
async function rest(door: Door, life: RunLife): Promise<void> {
	await Promise.allSettled(life.pending);
	const children = life.children.splice(0);
	if (children.length === 0) return;
	// A run that is over by now has had them told to stop.
	await door.act(life.ticket, "rest", []).catch(() => {});
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
	{ scope, ticket }: RunLife,
): Promise<void> {
	const late = Promise.withResolvers<void>();
	const timer = clock.setTimeout(() => {
		logger.warn(
			{ ticket },
			`the scope of run ${ticket.runId} was not disposed within ${graceMs} ms; its end does not wait any longer`,
		);
		late.resolve();
	}, graceMs);
	const done = scope.disposeAsync().catch((error) => {
		logger.error(
			{ error, ticket },
			`the scope of run ${ticket.runId} could not be disposed: ${errorText(error)}`,
		);
	});
	await Promise.race([done, late.promise]);
	clock.clearTimeout(timer);
}
