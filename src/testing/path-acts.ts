/** Owns how what happens on a path is caused on a real runtime: by a call of the host's, an executor's end, a process's death, or time alone. */
import type { SessionEvent } from "../../machines/events.ts";
import type { JsonValue } from "../../machines/json.ts";
import type { RunTicket } from "../../machines/ticket.ts";
import type { EmbeddedRuntime, ManagedRun, Run } from "../runtime.ts";
import { pathKey, type StimulusName, waitMs } from "./session-world.ts";

export type Runtime = EmbeddedRuntime<JsonValue, JsonValue, JsonValue>;
export type EventOf<Type extends SessionEvent["type"]> = Extract<
	SessionEvent,
	{ type: Type }
>;
type Named = Pick<RunTicket, "runId" | "attempt">;

/** A run that the runtime executes, until the path says how it ends. */
export interface Executing {
	readonly run: ManagedRun<JsonValue>;
	readonly end: (output: JsonValue) => void;
	readonly fail: (error: Error) => void;
}

/** The host that plays a path. */
export interface Host {
	readonly runtime: Runtime;
	/** The handle of a run, whoever drives it. */
	run(ticket: Named): Run;
	executing(ticket: Named): Executing;
	send(event: EventOf<"message">): Promise<unknown>;
	/** All slots are taken by other sessions; then it is sent. */
	sendInVain(event: EventOf<"message">): Promise<unknown>;
	/** The slots are free again, if others had them. */
	freeSlots(): Promise<void>;
	admit(event: EventOf<"admit">): Promise<unknown>;
	/** The process dies, and the next one starts on what it left. */
	die(retries: boolean): Promise<void>;
	close(): void;
	/** A stop is fired, and its commit fails; its grace period goes by. */
	abortUnstored(event: EventOf<"overdue">): Promise<void>;
	deliver(event: EventOf<"deliver">): Promise<unknown>;
	delivered(event: EventOf<"delivered">): void;
	/** The host's own work on a generation that ended is done. */
	workDone(generation: number): Promise<void>;
	/** The store has not told anybody of what ended by the time that its host has. */
	tooLate(event: EventOf<"postponed">): Promise<void>;
	/** A patch that began earlier finds its fields changed. */
	patchMoves(): unknown;
}

/** What a call expects, as its options say it. */
export function expectOf(event: SessionEvent) {
	return "expect" in event && event.expect ? { expect: event.expect } : {};
}

type Act = (host: Host, event: never) => unknown;

const send = (host: Host, event: EventOf<"message">) => host.send(event);
const admit = (host: Host, event: EventOf<"admit">) => host.admit(event);
const report = ({ runtime }: Host, { report }: EventOf<"report">) =>
	runtime.report(report);
const completes = (host: Host, { ticket }: EventOf<"settled">) =>
	host.executing(ticket).end(null);
const waits = (host: Host, { ticket, name }: EventOf<"wait">) =>
	host.run(ticket).waitFor(name);
const answers = (
	{ runtime }: Host,
	{ ticket, name, value }: EventOf<"answer">,
) => runtime.resume({ ...ticket, sessionKey: pathKey }, name, value);
const uses = (
	host: Host,
	{ ticket, inputTokens, outputTokens }: EventOf<"usage">,
) => host.run(ticket).usage({ inputTokens, outputTokens });
const pulls = (host: Host, { ticket }: EventOf<"pull">) =>
	host.executing(ticket).run.steering[Symbol.asyncIterator]().next();
const rotates = (host: Host, { ticket }: EventOf<"rotate">) =>
	host.run(ticket).rotate();
const appends = (host: Host, { ticket, entry }: EventOf<"append">) =>
	host.run(ticket).append(entry);
const delivers = (host: Host, event: EventOf<"deliver">) => host.deliver(event);
const resets = ({ runtime }: Host, event: EventOf<"reset">) =>
	runtime.reset(pathKey, expectOf(event));
const deletes = ({ runtime }: Host, event: EventOf<"delete">) =>
	runtime.delete(pathKey, {
		queued: event.queued,
		purge: event.purge,
		...expectOf(event),
	});
const aborts = ({ runtime }: Host, event: EventOf<"abort">) =>
	runtime.abort(pathKey, { queued: event.queued, ...expectOf(event) });
const edits = (
	{ runtime }: Host,
	{ messageId, input, before }: EventOf<"edit">,
) =>
	runtime.queue.update(pathKey, messageId, {
		...(input === undefined ? {} : { input }),
		...(before === undefined ? {} : { before }),
	});
const removes = ({ runtime }: Host, { messageId }: EventOf<"remove">) =>
	runtime.queue.remove(pathKey, messageId);
const patches = ({ runtime }: Host, event: EventOf<"patch">) =>
	runtime.patch(pathKey, event.patch, expectOf(event));
/** A timer of the engine's, which has fired. */
const time = () => {};

/** How a host, its executor or its machine causes what happens. */
export const acts: Readonly<Record<StimulusName, Act>> = {
	"a message": send,
	"a message after which it shall be quiet": send,
	"a message while others have all slots": (
		host: Host,
		event: EventOf<"message">,
	) => host.sendInVain(event),
	"a message that overlaps nothing": send,
	"a message for a full line": send,
	"the latest message": send,
	"a message to collect": send,
	"a message that steers": send,
	"a message that interrupts": send,
	"a message that rolls back": send,
	"a message for another generation": send,
	"the line goes on": (host: Host) => host.freeSlots(),
	"a waiting message is edited": edits,
	"a waiting message is put before one that does not wait": edits,
	"a message that does not wait is edited": edits,
	"a waiting message is removed": removes,
	"a message that does not wait is removed": removes,
	"a run is admitted": admit,
	"a run with a lease is admitted": admit,
	"a run is admitted to another generation": admit,
	"the live run is admitted again": admit,
	"a run is reserved": admit,
	"a reserved run is reserved again": admit,
	"a reserved run is given up": aborts,
	"the host's run starts": report,
	"the host's run makes progress": report,
	"the host's run ends": report,
	"the host's run fails": report,
	"a reserved run starts": report,
	"a reserved run makes progress": report,
	"a reserved run ends": report,
	"a reserved run fails": report,
	"a draining run starts": report,
	"a draining run makes progress": report,
	"a draining run ends": report,
	"a managed run is reported": report,
	"the run completes": completes,
	"the run fails": (host: Host, { ticket }: EventOf<"settled">) =>
		host.executing(ticket).fail(new Error("it broke")),
	"a draining run completes": completes,
	"the grace period is over": time,
	"the grace period of a stop that could not be stored is over": (
		host: Host,
		event: EventOf<"overdue">,
	) => host.abortUnstored(event),
	"its process dies": (host: Host) => host.die(false),
	"its process dies and the run is to be tried again": (host: Host) =>
		host.die(true),
	"its process closes": (host: Host) => host.close(),
	"the grace period of the close is over": time,
	"it waits for a": waits,
	"it waits for b": waits,
	"it waits for a while": (host: Host, { ticket, name }: EventOf<"wait">) =>
		host.run(ticket).waitFor(name, { timeoutMs: waitMs }),
	"it waits for what was answered": waits,
	"a is answered": answers,
	"b is answered": answers,
	"a is answered for the next attempt": answers,
	"something is answered that nobody asked": answers,
	"something is answered that no run here asked": answers,
	"nobody answers for a while": time,
	"it begins a delivery": delivers,
	"the delivery is done": (host: Host, event: EventOf<"delivered">) =>
		host.delivered(event),
	"it takes what steers it": pulls,
	"it appends": appends,
	"it moves on to another session id": rotates,
	"it lives": (host: Host, { ticket }: EventOf<"alive">) =>
		host.run(ticket).progress(1),
	"it has used tokens": uses,
	"a reserved run has used tokens": uses,
	"a draining run has used tokens": uses,
	"a run that settled has used tokens": uses,
	"a settled run moves on to another session id": rotates,
	"a settled run appends": appends,
	"a settled run waits": waits,
	"a settled run begins a delivery": delivers,
	"a stopped run takes what steers it": pulls,
	"a reset": resets,
	"a reset of another generation": resets,
	"a delete": deletes,
	"a delete that keeps the line": deletes,
	"a delete that erases": deletes,
	"a delete of another generation": deletes,
	"the host has done its work on what ended": (
		host: Host,
		{ generation }: EventOf<"closed">,
	) => host.workDone(generation),
	"the host cannot be told in time of what ended": (
		host: Host,
		event: EventOf<"postponed">,
	) => host.tooLate(event),
	"an abort": aborts,
	"an abort of a waiting message": aborts,
	"an abort of another generation": aborts,
	"an abort that drops the line": aborts,
	"a patch": patches,
	"a patch for another generation": patches,
	"a patch whose fields have changed since": (host: Host) => host.patchMoves(),
	"an import": ({ runtime }: Host, { sessionId }: EventOf<"import">) =>
		runtime.import([{ sessionKey: pathKey, sessionId }]),
};
