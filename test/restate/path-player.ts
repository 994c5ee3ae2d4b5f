/**
 * Owns the playing of a generated path on sessions of Restate: as `playPath` does it on the embedded engine, with each call at the time and with
 * the ids that the path says, and after each step all that the session's object keeps compared with what the machine said.
 */
import { ok } from "node:assert/strict";
import { setTimeout as pause } from "node:timers/promises";
import type { AdmittedRun, JsonValue, ManagedRun, Run } from "turnkeeper";
import type { RunFacts, SessionEvent, SessionFacts } from "turnkeeper/machines";
import type { SessionPath } from "turnkeeper/testing";
import { configOf } from "../../src/config.ts";
import { memoryStore } from "../../src/memory.ts";
import { Admin } from "../../src/restate/admin.ts";
import { Connected } from "../../src/restate/client.ts";
import { Door } from "../../src/restate/door.ts";
import { type KeptSession, keptName } from "../../src/restate/kept.ts";
import { servicesOf } from "../../src/restate/services.ts";
import { StateReader } from "../../src/restate/state.ts";
import { Ledger } from "../../src/testing/ledger.ts";
import {
	acts,
	type EventOf,
	type Executing,
	expectOf,
	type Host,
	type Runtime,
} from "../../src/testing/path-acts.ts";
import type { PathStep } from "../../src/testing/paths.ts";
import {
	compareAnswer,
	nameOfRun,
	type Outcome,
	policyOf,
	sessionIdOf,
} from "../../src/testing/play-path.ts";
import { same } from "../../src/testing/same.ts";
import {
	graceMs,
	leaseMs,
	pathKey,
	type StimulusName,
} from "../../src/testing/session-world.ts";
import { silent } from "../support/host.ts";
import type { Server } from "./server.ts";

/** What a path may have that cannot come to pass on Restate, with the reason. */
const elsewhere: Partial<Record<StimulusName, string>> = {
	"a message while others have all slots": "there is no cap on runs",
	"its process dies":
		"a run's process is not its session's; test/restate/deaths",
	"its process dies and the run is to be tried again":
		"a run's process is not its session's; test/restate/deaths",
	"its process closes": "nothing of a session is in the process that closes",
	"the grace period of the close is over":
		"nothing of a session is in the process that closes",
	"the grace period of a stop that could not be stored is over":
		"a call that cannot be stored is played again",
	"a patch whose fields have changed since":
		"a schema must answer at once there",
	"the host has done its work on what ended": "there is no onGenerationEnded",
	"the host cannot be told in time of what ended":
		"there is no onGenerationEnded",
};

/** Why a path cannot come to pass on Restate, or null. */
export function reasonNotTo({ steps, hasHook }: SessionPath): string | null {
	if (hasHook) return "there is no onGenerationEnded";
	for (const { what } of steps) {
		const reason = elsewhere[what as StimulusName];
		if (reason) return reason;
	}
	return null;
}

/** The services for all players of a server, who are found by their keys. */
export class Stage {
	readonly #server: Server;
	readonly #players = new Map<string, PathPlayer>();

	constructor(server: Server) {
		this.#server = server;
	}

	get services() {
		const of = (sessionKey: string) =>
			this.#players.get(sessionKey) as PathPlayer;
		const config = configOf<JsonValue, JsonValue, JsonValue>({
			store: memoryStore(),
			logger: silent,
			graceMs,
			overlap: ({ sessionKey }) => of(sessionKey).policy,
			execute: (run) => of(run.ticket.sessionKey).execute(run),
		});
		return servicesOf<JsonValue, JsonValue, JsonValue>(
			{
				...config,
				passivateAfterMs: Number.POSITIVE_INFINITY,
				nowFor: (key) => of(key)?.now ?? Date.now(),
				idsFor: (key) => of(key),
				// A path says itself when its time goes on.
				waitFor: () => 86_400_000,
			},
			this.#door,
		);
	}

	get #door(): Door {
		return new Door(
			this.#server.ingress,
			10_000,
			undefined,
			(key) => this.#players.get(key)?.now ?? Date.now(),
		);
	}

	async play(path: SessionPath, key: string): Promise<void> {
		const admin = new Admin(this.#server.admin, 10_000);
		const door = this.#door;
		const player = new PathPlayer(
			path,
			key,
			this.#server,
			door,
			new Connected(door, admin, silent) as unknown as Runtime,
		);
		this.#players.set(key, player);
		await player.play();
	}
}

class PathPlayer implements Host {
	readonly #path: SessionPath;
	readonly #key: string;
	readonly #server: Server;
	readonly #door: Door;
	readonly #ledger = new Ledger();
	readonly #executing = new Map<string, Executing>();
	readonly #admitted = new Map<string, AdmittedRun>();
	readonly #posted = Promise.withResolvers<number>();
	readonly runtime: Runtime;
	#step: PathStep;
	#spare = 0;

	constructor(
		path: SessionPath,
		key: string,
		server: Server,
		door: Door,
		runtime: Runtime,
	) {
		this.#path = path;
		this.#key = key;
		this.#server = server;
		this.#door = door;
		this.#step = path.steps[0] as PathStep;
		this.runtime = this.#keyed(runtime);
	}

	/** A runtime that is asked of the path's key and asks of the player's. */
	#keyed<Called extends object>(called: Called): Called {
		return new Proxy(called, {
			get: (_, name) => {
				const value = Reflect.get(called, name, called);
				if (name === "queue") return this.#keyed(value as object);
				if (typeof value !== "function") return value;
				return (...args: unknown[]) =>
					value.apply(called, this.#renamed(args, pathKey, this.#key));
			},
		});
	}

	#renamed<Value>(value: Value, from: string, to: string): Value {
		if (value === undefined) return value;
		const text = JSON.stringify(value);
		return JSON.parse(
			text.replaceAll(JSON.stringify(from), JSON.stringify(to)),
		);
	}

	get now(): number {
		return this.#step.event.at;
	}

	get policy() {
		return policyOf(this.#step.event as SessionEvent);
	}

	runId(): string {
		const event = this.#step.event as SessionEvent;
		const grant = "grant" in event ? event.grant : null;
		if (grant) return grant;
		this.#spare += 1;
		return `spare-${this.#spare}`;
	}

	sessionId(): string {
		return sessionIdOf(this.#step.event as SessionEvent);
	}

	execute(run: ManagedRun<JsonValue>): Promise<JsonValue> {
		const { promise, resolve, reject } = Promise.withResolvers<JsonValue>();
		promise.catch(() => {});
		const executing = { run, end: resolve, fail: reject };
		this.#executing.set(nameOfRun(run.ticket), executing);
		return promise;
	}

	async play(): Promise<void> {
		const { name, steps } = this.#path;
		await this.runtime.start();
		for (const [i, step] of steps.entries())
			try {
				await this.#take(step);
			} catch (error) {
				const where = `${name}, step ${i + 1} of ${steps.length}: ${step.what}`;
				throw Object.assign(error as Error, {
					message: `${where}\n${(error as Error).message}`,
				});
			}
		for (const { end } of this.#executing.values()) end(null);
		await this.runtime.close();
	}

	async #take(step: PathStep): Promise<void> {
		this.#step = step;
		await this.#begun();
		const answer = Promise.resolve(
			acts[step.what as StimulusName](this, step.event as never),
		);
		const answered = answer.then(
			(value): Outcome => ({ is: "value", value }),
			(error): Outcome => ({ is: "error", error }),
		);
		// What is due by now happens with any call.
		await Promise.race([answered, pause(20)]);
		await this.#ring();
		this.#ledger.note(step);
		await this.#compare(step);
		const reply = step.effects.find(({ type }) => type === "reply");
		if (!reply || step.what === "a stopped run takes what steers it") return;
		const outcome = await Promise.race([
			answered,
			pause(300).then((): Outcome => ({ is: "pending" })),
		]);
		compareAnswer(
			outcome,
			this.#renamed(reply.params, pathKey, this.#key) as never,
		);
	}

	/** Every run that the session has for its executor has reached it. */
	async #begun(): Promise<void> {
		for (let tries = 0; tries < 500; tries++) {
			const { facts } = await this.#kept();
			const run = facts?.run;
			const isHere =
				run?.driver !== "managed" || this.#executing.has(nameOfRun(run));
			if (isHere) return;
			await pause(10);
		}
		ok(false, "a run was never executed");
	}

	/** Time goes on for the session. */
	async #ring(): Promise<void> {
		const ticket = {
			sessionKey: this.#key,
			sessionId: "none",
			generation: 1,
			runId: "none",
			attempt: 1,
		};
		await this.#door.act(ticket, "rest", []);
	}

	/** All that the session's object keeps, with the path's key for its own. */
	async #state(): Promise<Map<string, unknown>> {
		const rows = await this.#server.query<{ key: string; value_utf8: string }>(
			`SELECT key, value_utf8 FROM state WHERE service_name = 'TurnkeeperSession' AND service_key = '${this.#key}'`,
		);
		return new Map(
			rows.map(({ key, value_utf8 }) => [
				key,
				this.#renamed(JSON.parse(value_utf8), this.#key, pathKey),
			]),
		);
	}

	async #kept(): Promise<{
		facts: SessionFacts | null;
		state: Map<string, unknown>;
	}> {
		const state = await this.#state();
		const kept = state.get(keptName) as KeptSession | undefined;
		return { facts: kept?.facts ?? null, state };
	}

	async #compare({ facts }: PathStep): Promise<void> {
		let found = await this.#kept();
		for (let tries = 0; tries < 300; tries++) {
			if ((found.facts?.version ?? 0) >= facts.version) break;
			await pause(10);
			found = await this.#kept();
		}
		if (facts.version === 0) {
			same(found.facts?.version ?? 0, 0, "what is kept");
			return;
		}
		same(found.facts, JSON.parse(JSON.stringify(facts)), "what is kept");
		const { state } = found;
		const store = new StateReader(
			{
				get: async (name) => (state.get(name) ?? null) as never,
				stateKeys: async () => [...state.keys()],
			},
			found.facts,
		);
		await this.#ledger.compare(store, facts);
	}

	run(ticket: Pick<RunFacts, "attempt" | "runId">): Run {
		const run =
			this.#executing.get(nameOfRun(ticket))?.run ??
			this.#admitted.get(ticket.runId);
		ok(run, `nobody drives run ${ticket.runId}`);
		return run;
	}

	executing(ticket: Pick<RunFacts, "attempt" | "runId">): Executing {
		const executing = this.#executing.get(nameOfRun(ticket));
		ok(executing, `run ${ticket.runId} is not executed`);
		return executing;
	}

	async admit(event: EventOf<"admit">) {
		const run = await this.runtime.admit(pathKey, {
			runId: event.runId,
			reserve: event.reserve,
			...(event.leaseMs ? { leaseMs } : {}),
			...expectOf(event),
		});
		this.#admitted.set(event.runId, run);
		return run;
	}

	send(event: EventOf<"message">) {
		return this.runtime.send(pathKey, event.input, {
			messageId: event.messageId,
			...expectOf(event),
		});
	}

	deliver(event: EventOf<"deliver">) {
		return this.run(event.ticket).deliver(
			event.name,
			() => this.#posted.promise,
		);
	}

	delivered(event: EventOf<"delivered">): void {
		this.#posted.resolve(event.result as number);
	}

	async freeSlots(): Promise<void> {}

	sendInVain = this.#cannotBe;
	die = this.#cannotBe;
	close = this.#cannotBe;
	abortUnstored = this.#cannotBe;
	workDone = this.#cannotBe;
	tooLate = this.#cannotBe;
	patchMoves = this.#cannotBe;

	#cannotBe(): never {
		throw new Error("this cannot come to pass on Restate");
	}
}
