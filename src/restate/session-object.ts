/** Owns the virtual object of a session: which handler serves which call. One call at a time changes a session; reads and waits hold up nobody. */
import {
	handlers,
	type ObjectContext,
	type ObjectSharedContext,
	object,
	type TypedState,
} from "@restatedev/restate-sdk";
import type { SessionEvent } from "../../machines/events.ts";
import { type ChildOf, shownRow, unusedFacts } from "../../machines/facts.ts";
import { messageOf } from "../../machines/line.ts";
import { ownsRun } from "../../machines/run.ts";
import type { RunTicket } from "../../machines/ticket.ts";
import { checkTicket, invalid, shown } from "../arguments.ts";
import { ask, staleRun } from "../asking.ts";
import { messagesOf } from "../boot.ts";
import type { Config } from "../config.ts";
import { armWaits } from "../deadlines.ts";
import { note } from "../deliveries.ts";
import { release } from "../handles.ts";
import {
	readArchive,
	readRefusals,
	readRuns,
	readTranscript,
} from "../reader.ts";
import { countUsage, idAlone } from "../records.ts";
import { waitsForEachOther } from "../run-calls.ts";
import { type ServicesConfig, untilItHolds } from "./config.ts";
import { type KeptSession, keptName } from "./kept.ts";
import {
	type Act,
	type Asked,
	answerOf,
	type CallName,
	mustUnderstand,
	type ReadName,
	type Returned,
	type SessionApi,
	type StopName,
	type StoppedChild,
	sessionsService,
	type Timed,
	type Wait,
} from "./protocol.ts";
import { acceptedOf } from "./receipt.ts";
import { draining, Serving } from "./serving.ts";
import { StateReader } from "./state.ts";
import { viewOf } from "./view.ts";

type Exclusive = ObjectContext<TypedState>;
type Shared = ObjectSharedContext<TypedState>;

/** The object, for an endpoint. */
export function sessionObject<Input, Output, Meta>(
	config: ServicesConfig<Input, Output, Meta>,
) {
	type Served = Serving<Input, Output, Meta>;
	const serve = <Value>(
		ctx: Exclusive,
		timed: Timed,
		act: (serving: Served) => Promise<Value>,
	) => Serving.serve(ctx, config, timed, act);

	return object({
		name: sessionsService,
		options: {
			enableLazyState: true,
			retryPolicy: untilItHolds,
			// For so long a caller whose connection broke may ask for its answer again.
			idempotencyRetention: { minutes: 10 },
		},
		handlers: {
			call: (ctx: Exclusive, asked: Asked<CallName>) =>
				serve(ctx, asked, (serving) => answerOf(() => called(serving, asked))),
			act: (ctx: Exclusive, act: Act) =>
				serve(ctx, act, (serving) => answerOf(() => acted(serving, act))),
			begin: internal(
				async (
					ctx: Exclusive,
					asked: Asked<StopName> & { readonly awakeable: string },
				) => {
					const answer = await Serving.serve(
						ctx,
						config,
						asked,
						(serving: Served) => answerOf(() => stopped(serving, asked)),
						asked.awakeable,
					);
					return answer === draining ? null : answer;
				},
			),
			stop: handlers.object.shared(
				async (ctx: Shared, asked: Asked<StopName>) => {
					const { id, promise } = ctx.awakeable();
					const answer = await own(ctx).begin({ ...asked, awakeable: id });
					return answer ?? { value: await promise };
				},
			),
			watch: internal(
				(ctx: Exclusive, watched: Wait & { readonly awakeable: string }) =>
					serve(ctx, watched, async (serving) => {
						serving.await(watched.awakeable, watched.for);
					}),
			),
			wait: handlers.object.shared(async (ctx: Shared, wait: Wait) => {
				const { id, promise } = ctx.awakeable();
				await own(ctx).watch({ ...wait, awakeable: id });
				return promise;
			}),
			read: handlers.object.shared((ctx: Shared, asked: Asked<ReadName>) =>
				answerOf(() => read(ctx, asked)),
			),
			returned: internal((ctx: Exclusive, returned: Returned) =>
				serve(ctx, returned, (serving) => settle(serving, returned)),
			),
			stopChild: internal((ctx: Exclusive, child: StoppedChild) =>
				serve(ctx, child, (serving) => stopChild(serving, child)),
			),
			alarm: internal((ctx: Exclusive, alarm: Timed) =>
				serve(ctx, alarm, async (serving) => serving.rang(alarm.at)),
			),
		},
	});
}

/** For Restate's own calls alone: not by its ingress. */
function internal<Arg, Value>(
	handler: (ctx: Exclusive, arg: Arg) => Promise<Value>,
) {
	return handlers.object.exclusive({ ingressPrivate: true }, handler);
}

function own(ctx: Shared) {
	return ctx.objectClient<SessionApi>({ name: sessionsService }, ctx.key);
}

async function called<Input, Output, Meta>(
	{ calls, facts, key }: Serving<Input, Output, Meta>,
	{ protocol, name, args }: Asked<CallName>,
): Promise<unknown> {
	mustUnderstand(protocol, args);
	const [first, second, third] = args as [never, never, never];
	switch (name) {
		case "send":
			return acceptedOf(await calls.intake.send(key, first, second));
		case "admit": {
			const { ticket } = await calls.intake.admit(key, first);
			return { ticket, view: viewOf(facts(), ticket) };
		}
		case "report":
			return calls.reports.take(first);
		case "patch":
			return calls.commands.patch(key, first, second);
		case "resume":
			return calls.commands.resume(first, second, third);
		case "import":
			return calls.importer.import([first]);
		case "receive":
			return acceptedOf(await calls.intake.receive(key, first, second, third));
		case "queue.update":
			return calls.queue.update(key, first, second);
		case "queue.remove":
			return calls.queue.remove(key, first);
	}
}

async function stopped<Input, Output, Meta>(
	{ calls: { commands }, key }: Serving<Input, Output, Meta>,
	{ protocol, name, args }: Asked<StopName>,
): Promise<unknown> {
	mustUnderstand(protocol, args);
	const [options] = args as [never];
	return commands[name](key, options);
}

/** What a run asks for; answered with how it stands then. */
async function acted<Input, Output, Meta>(
	serving: Serving<Input, Output, Meta>,
	act: Act,
): Promise<unknown> {
	mustUnderstand(act.protocol, act.args);
	checkTicket(act.ticket);
	const value = await carriedOut(serving, act);
	return { value, view: await serving.viewOf(act.ticket) };
}

async function carriedOut<Input, Output, Meta>(
	serving: Serving<Input, Output, Meta>,
	{ ticket, name, args }: Act,
): Promise<unknown> {
	const { engine } = serving;
	const [first, second, third] = args as [never, never, never];
	const live = engine.registry.get(ticket);
	if (live) engine.runs.alive(live);
	switch (name) {
		case "alive":
			return null;
		// What counts for a run that has settled as well.
		case "usage":
			return countUsage(engine, ticket, first);
		case "delivered":
			return note(engine, ticket, first, second, third);
		case "release":
			return release(engine, ticket);
		case "spawn":
			return spawn(serving, ticket, args as never);
		case "rest":
			return serving.rests(ticket);
	}
	const { sessionId } = engine.options;
	const asked = askedBy(sessionId, { ticket, name, args }, engine.now());
	const { reply, after } = await ask(engine, { ticket }, () => asked);
	if (name === "waitFor" && live && after.run) {
		live.see(after.run, after);
		armWaits(live, engine.runs);
	}
	return reply;
}

/** A run's word on a message that it spawns. From then on its stop finds that message, accepted or not. */
function spawn<Input, Output, Meta>(
	serving: Serving<Input, Output, Meta>,
	ticket: RunTicket,
	[sessionKey, messageId, attached]: readonly [string, string, boolean],
): ChildOf {
	const { run } = serving.facts();
	if (!run || run.stop || !ownsRun(run, ticket)) throw staleRun(ticket);
	if (attached && run.ancestors.includes(sessionKey))
		throw waitsForEachOther(sessionKey, ticket);
	if (attached) serving.attach(ticket, sessionKey, messageId);
	return {
		run: ticket,
		attached,
		ancestors: attached ? [...run.ancestors, ticket.sessionKey] : [],
	};
}

/** One that has not come yet, for its parent's word was given before, comes too late: its id is used up. */
async function stopChild<Input, Output, Meta>(
	{ engine, facts, key, store }: Serving<Input, Output, Meta>,
	{ messageId, deadline }: StoppedChild,
): Promise<void> {
	if (!(await store.message(key, messageId))) {
		const { generation } = facts();
		const gone = idAlone(messageId, engine.now(), generation);
		store.keepMessage({
			...gone,
			reason: "the run that it is attached to ended",
			// Whatever it says.
			edited: true,
		});
		return;
	}
	engine.runs.stopChild({ sessionKey: key, messageId }, deadline);
}

/** What a run asks its session. */
function askedBy(
	sessionId: Config<never, never, never>["sessionId"],
	{ ticket, name, args }: Pick<Act, "ticket" | "name" | "args">,
	at: number,
): SessionEvent {
	const [first, second] = args as [never, never];
	switch (name) {
		case "append":
			return { type: "append", at, ticket, entry: first };
		case "rotate": {
			const { sessionKey, generation } = ticket;
			const fresh = () => sessionId(sessionKey, generation, "rotate");
			return { type: "rotate", at, ticket, sessionId: first ?? fresh() };
		}
		case "waitFor":
			return {
				type: "wait",
				at,
				ticket,
				name: first,
				deadline: second === null ? null : at + second,
			};
		case "deliver":
			return { type: "deliver", at, ticket, name: first, unbegun: second };
		case "pull":
			return { type: "pull", at, ticket };
		default:
			throw invalid(
				`name is ${shown(name)}; it must be what a run can ask for`,
			);
	}
}

/** A run's executor came to its end. One that died with its process is tried again if the host wants that. */
async function settle<Input, Output, Meta>(
	serving: Serving<Input, Output, Meta>,
	{ ticket, outcome, error, output, messages, unread }: Returned,
): Promise<void> {
	const { engine, key } = serving;
	const { retry: bounds } = engine.options;
	const live = engine.registry.get(ticket);
	const died = outcome === "interrupted" && live;
	// What the session gave it and never reached it goes back into line.
	const known = new Set(
		[...messages, ...unread].map(({ messageId }) => messageId),
	);
	const lost =
		died || !live
			? []
			: live.run.messageIds.filter((messageId) => !known.has(messageId));
	const unseen = [
		...unread,
		...(lost.length > 0
			? await messagesOf(engine, { key }, { messageIds: lost })
			: []),
	];
	const tried =
		bounds && died
			? messages.length > 0
				? messages
				: await messagesOf(engine, { key }, live.run)
			: [];
	serving.returned(ticket, output ?? null);
	engine.keep(key, {
		event: ({ facts }) => {
			const at = engine.now();
			return {
				type: "settled",
				at,
				grant: engine.taking.grant(facts),
				ticket,
				end: { at, outcome, error, stoppedBy: live?.stoppedBy ?? undefined },
				recovers: Boolean(died),
				unread: unseen,
				retry:
					bounds && tried.length > 0
						? { ...bounds, messages: tried }
						: undefined,
			};
		},
		committed() {},
	});
}

async function read(
	ctx: Shared,
	{ protocol, name, args }: Asked<ReadName>,
): Promise<unknown> {
	mustUnderstand(protocol, args);
	const kept = await ctx.get<KeptSession>(keptName);
	const facts = kept?.facts ?? unusedFacts(ctx.key);
	const store = new StateReader(ctx, kept?.facts ?? null);
	const [first] = args as [never];
	switch (name) {
		case "get":
			return { row: shownRow(facts), version: facts.version };
		case "archive":
			return readArchive(store, ctx.key, first);
		case "runs":
			return readRuns(store, ctx.key, first);
		case "transcript":
			return readTranscript(store, ctx.key, first);
		case "refusals":
			return readRefusals(store, first);
		case "queue.list":
			return facts.queue.map(messageOf);
	}
}
