/**
 * Owns the stage on which the scenarios of the catalogue are played on Restate: a server, and for each host of a scenario a process of its own as
 * far as Restate can tell, with services of its options and a clock that stands still. A scenario that needs what only the embedded engine has is
 * left out, with the reason.
 */
import { setTimeout as pause } from "node:timers/promises";
import type { JsonValue, RuntimeEvent, SessionRow } from "turnkeeper";
import type { TestContext } from "vitest";
import { type SessionFacts, shownRow } from "../../machines/facts.ts";
import { runtimeClock } from "../../src/clock.ts";
import { configOf } from "../../src/config.ts";
import { Engine } from "../../src/engine.ts";
import { memoryStore } from "../../src/memory.ts";
import { Connected } from "../../src/restate/client.ts";
import { systemSource } from "../../src/restate/config.ts";
import { type KeptSession, keptName } from "../../src/restate/kept.ts";
import { RunLife } from "../../src/restate/remote-run.ts";
import { servicesOf } from "../../src/restate/services.ts";
import { Serving } from "../../src/restate/serving.ts";
import { CrashingStore } from "../../src/testing/crashing-store.ts";
import { FaultyStore } from "../../src/testing/faulty-store.ts";
import { turns, VirtualClock } from "../../src/testing/virtual-clock.ts";
import type { Elsewhere, Stage, WatchedHost } from "../races/scenario.ts";
import { lastRow, Scripted, silent } from "../support/host.ts";
import { stillClock, turnUntil } from "../support/turns.ts";
import { embeddedOnly, reasonNotTo } from "./not-played.ts";
import { type Endpoint, listen, type Server, startServer } from "./server.ts";
import { OrderedAdmin, OrderedDoor } from "./traffic.ts";

type Options = NonNullable<Parameters<Stage["start"]>[0]>;
type Runtime = WatchedHost["runtime"];
type Store = ReturnType<Stage["makeStore"]>;
type RefusalsQuery = NonNullable<Parameters<Runtime["refusals"]>[0]>;

type Context = Parameters<typeof Serving.serve>[0];
/** What a call does that others see. */
const tells = new Set([
	"invocation",
	"objectSendClient",
	"resolveAwakeable",
	"serviceSendClient",
]);

/** A scenario says itself when its time goes on. */
const aDay = 86_400_000;

/** One host: what would be its process. */
interface Life {
	readonly door: OrderedDoor;
	readonly clock: VirtualClock;
	/** What the engines say that its services make for their calls. */
	readonly feed: RuntimeEvent[];
	readonly listeners: Set<(event: RuntimeEvent) => void>;
	readonly runtime: Connected<JsonValue, unknown, JsonValue>;
	readonly endpoint: Endpoint;
	/** The store that it was given; what it stands for is in Restate. */
	readonly store: Store | null;
	/** When each session is to be called again, and when it was last. */
	readonly alarms: Map<string, number>;
	readonly rang: Map<string, number>;
	/** From a process that is dead: so many of its runs are begun again. */
	taken: number | null;
	/** When it is dead, and nothing of it is there any more. */
	gone: PromiseLike<void> | null;
}

export class RaceStage implements Elsewhere, AsyncDisposable {
	readonly name = "Restate";
	#scenario: TestContext | null = null;
	/** Why scenarios were left out, by title. */
	readonly leftOut = new Map<string, string>();
	/** What was told before it was written. */
	readonly faults: string[] = [];
	#opened: Server | null = null;
	#life: Life | null = null;
	#port = 0;

	constructor() {
		this.#look();
		turnUntil(async () => {
			if (this.#life?.door.isDead) return turns();
			await this.#life?.door.traffic.quiet();
		});
	}

	async open(): Promise<void> {
		this.#opened = await startServer({ partitions: 1 });
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.#die();
		await this.#opened?.[Symbol.asyncDispose]();
	}

	get #server(): Server {
		return this.#opened as Server;
	}

	/** Sees whatever happens in the services. */
	#look(): void {
		const life = () => this.#life as Life;
		const serve = Serving.serve.bind(Serving);
		Serving.serve = (given, config, timed, act, awakeable) => {
			let facts: () => SessionFacts | null = () => null;
			const ctx = this.#watched(given, () => facts());
			return life().door.traffic.serves(() =>
				serve(
					ctx,
					config,
					timed,
					(serving) => {
						facts = () => serving.store.facts;
						const at = life().rang.get(ctx.key);
						if (at !== undefined) serving.rang(at);
						return act(serving);
					},
					awakeable,
				),
			);
		};
		const { see } = RunLife.prototype;
		RunLife.prototype.see = function (view) {
			life().door.traffic.happened += 1;
			see.call(this, view);
		};
		const { abort } = RunLife.prototype;
		RunLife.prototype.abort = function (reason) {
			// Nothing of a process that is dead sees that it is cut off.
			if (!life().door.isDead) abort.call(this, reason);
		};
		const { open } = Engine.prototype;
		Engine.prototype.open = function (store) {
			const { feed, listeners } = life();
			this.projection.subscribe((event) => {
				feed.push(event as RuntimeEvent);
				for (const listener of listeners) listener(event as RuntimeEvent);
			});
			open.call(this, store);
		};
	}

	/** Nobody is told anything by a call before it is in the state: who then looks would see less. */
	#watched(ctx: Context, facts: () => SessionFacts | null): Context {
		let written = 0;
		return new Proxy(ctx, {
			get: (_, name) => {
				const value = Reflect.get(ctx, name, ctx);
				if (typeof value !== "function") return value;
				return (...args: unknown[]) => {
					const [first, second] = args;
					if (name === "set" && first === keptName)
						written = (second as KeptSession).facts?.version ?? 0;
					const told = facts()?.version ?? 0;
					if (tells.has(name as string) && written !== told && told > 0)
						this.faults.push(
							`${String(name)} of version ${told}, of which ${written} is written`,
						);
					const answer = value.apply(ctx, args);
					if (name !== "get" || first !== keptName) return answer;
					return answer.then((kept: KeptSession | null) => {
						written = kept?.facts?.version ?? 0;
						return kept;
					});
				};
			},
		});
	}

	/** A scenario begins. */
	enter(scenario: TestContext): void {
		this.#scenario = scenario;
		const reason = reasonNotTo(scenario.task.name);
		if (reason !== null) this.#leaveOut(reason);
	}

	#leaveOut(reason: string): never {
		const title = this.#scenario?.task.name ?? "";
		if (!this.leftOut.has(title)) this.leftOut.set(title, reason);
		this.#scenario?.skip(reason);
		throw new Error(reason);
	}

	/** Stands for what Restate keeps: who looks into it cannot be played. */
	readonly makeStore = (): Store => ({
		open: async () =>
			new Proxy({} as Awaited<ReturnType<Store["open"]>>, {
				get: (_, name) =>
					name === Symbol.asyncDispose
						? async () => {}
						: name === "then"
							? undefined
							: this.#leaveOut(embeddedOnly.store),
			}),
		read: () => this.#leaveOut(embeddedOnly.store),
	});

	readonly start = (options?: Options): Promise<WatchedHost> =>
		this.#host(null, options);

	readonly watch = async (
		store: Store,
		options?: Options,
	): Promise<WatchedHost> => {
		if (store instanceof FaultyStore) this.#leaveOut(embeddedOnly.store);
		if (store instanceof CrashingStore) {
			await store.open({ name: "Restate" });
			store.onCrash = () => {
				void this.#die();
			};
		}
		return this.#host(store, options);
	};

	async #host(
		store: Store | null,
		options: Options = {},
	): Promise<WatchedHost> {
		for (const [name, why] of Object.entries(embeddedOnly))
			if (Object.hasOwn(options, name)) this.#leaveOut(why);
		const before = this.#life;
		const isNext = store !== null && before?.store === store;
		await this.#die();
		const runs = isNext ? await this.#runs() : 0;
		if (!isNext) await this.#clear();
		const clock =
			options.clock instanceof VirtualClock ? options.clock : stillClock();
		if (isNext && !options.clock)
			clock.stepBack(Math.min(0, clock.now() - before.clock.now()));
		const scripted = new Scripted();
		const life = await this.#begin(store, clock, isNext, {
			execute: scripted.execute,
			...options,
		});
		if (isNext) await this.#takeOver(life, before, runs);
		const { feed } = life;
		const leaveOut = (why: string) => this.#leaveOut(why);
		return {
			runtime: this.#called(life),
			clock,
			scripted,
			feed,
			feedRow: (sessionKey) => lastRow(feed, sessionKey),
			inspected: () => undefined,
			get store() {
				return leaveOut(embeddedOnly.store);
			},
		};
	}

	/** A process that serves the sessions, and makes calls of its own. */
	async #begin(
		store: Store | null,
		clock: VirtualClock,
		isNext: boolean,
		options: Options,
	): Promise<Life> {
		const door = new OrderedDoor(this.#server.ingress, () => clock.now());
		const { execute } = options;
		const config = configOf<JsonValue, unknown, JsonValue>({
			logger: silent,
			...options,
			...(execute
				? {
						execute: async (run) => {
							door.traffic.happened += 1;
							if (life.taken !== null) life.taken += 1;
							try {
								return await execute(run);
							} finally {
								// A call that was made before is there before its end.
								await door.taken();
								door.traffic.happened += 1;
								if (door.isDead) await new Promise(() => {});
							}
						},
					}
				: {}),
			store: memoryStore(),
		});
		const services = servicesOf(
			{
				...config,
				...systemSource,
				clock: {
					...runtimeClock(clock),
					// A process that is dead needs no time to say how its runs ended.
					setTimeout: (f, ms) => {
						if (life.taken === null) return clock.setTimeout(f, ms);
						life.taken += 1;
						return setImmediate(f);
					},
				},
				passivateAfterMs: Number.POSITIVE_INFINITY,
				nowFor: () => clock.now(),
				waitFor: (sessionKey: string, ms: number) => {
					this.#setAlarm(life, sessionKey, clock.now() + ms);
					return aDay;
				},
			},
			door,
		);
		const isFirst = this.#port === 0;
		const endpoint = await listen(services, this.#port);
		this.#port = endpoint.port;
		const runtime = new Connected<JsonValue, unknown, JsonValue>(
			door,
			new OrderedAdmin(this.#server.admin, door),
			silent,
			runtimeClock(clock),
		);
		const life: Life = {
			door,
			clock,
			feed: [],
			listeners: new Set(),
			runtime,
			endpoint,
			store,
			alarms: new Map(),
			rang: new Map(),
			taken: isNext ? 0 : null,
			gone: null,
		};
		this.#life = life;
		if (isFirst) await this.#server.register(endpoint.uri);
		await runtime.start();
		return life;
	}

	#setAlarm(life: Life, sessionKey: string, at: number): void {
		const { alarms, clock, door, rang } = life;
		alarms.set(sessionKey, at);
		clock.setTimeout(() => {
			if (alarms.get(sessionKey) !== at || door.isDead) return;
			alarms.delete(sessionKey);
			rang.set(sessionKey, at);
			void door.traffic
				.asks(() => door.ring(sessionKey))
				.catch((error) => {
					if (!door.isDead) throw error;
				});
		}, at - clock.now());
	}

	/** Its process is gone from one moment to the next. */
	async #die(): Promise<void> {
		const life = this.#life;
		if (!life) return;
		life.door.isDead = true;
		life.gone ??= life.endpoint[Symbol.asyncDispose]();
		await life.gone;
		await life.runtime.close();
	}

	/** Resolves when Restate has begun again all the runs that the process before had. */
	async #takeOver(life: Life, before: Life, runs: number): Promise<void> {
		for (const [sessionKey, at] of before.alarms)
			this.#setAlarm(life, sessionKey, at);
		await inTime("the runs are begun again", () => (life.taken ?? 0) >= runs);
		await life.door.traffic.quiet();
		life.taken = null;
	}

	/** Runs that are being executed, as far as Restate knows. */
	async #runs(): Promise<number> {
		const open = await this.#server.query(
			"SELECT id FROM sys_invocation WHERE target_service_name = 'TurnkeeperRuns' AND target_handler_name = 'execute' AND status <> 'completed'",
		);
		return open.length;
	}

	/** What only the embedded engine has is a reason to leave the scenario out. */
	#called({ listeners, runtime }: Life): Runtime {
		return new Proxy(runtime as unknown as Runtime, {
			get: (_, name) => {
				if (Object.hasOwn(embeddedOnly, name))
					return this.#leaveOut(
						embeddedOnly[name as keyof typeof embeddedOnly],
					);
				if (name === "subscribe")
					return (listener: (event: RuntimeEvent) => void) => {
						listeners.add(listener);
						return { unsubscribe: () => listeners.delete(listener) };
					};
				if (name === "refusals")
					return (query?: RefusalsQuery) => this.#refusals(runtime, query);
				const value = Reflect.get(runtime, name, runtime);
				return typeof value === "function" ? value.bind(runtime) : value;
			},
		});
	}

	/** They are kept with their sessions. */
	async #refusals(runtime: Life["runtime"], query: RefusalsQuery = {}) {
		if (query.sessionKey !== undefined) return runtime.refusals(query);
		const { items } = await runtime.list();
		const pages = await Promise.all(
			items.map(({ sessionKey }) => runtime.refusals({ ...query, sessionKey })),
		);
		return { items: pages.flatMap((page) => page.items), cursor: null };
	}

	async views(
		sessionKey: string,
	): Promise<{ rows: Record<string, SessionRow | null>; draining: number }> {
		const [kept] = await this.#server.query<{ value_utf8: string }>(
			`SELECT value_utf8 FROM state WHERE service_name = 'TurnkeeperSession' AND service_key = '${sessionKey.replaceAll("'", "''")}' AND key = '${keptName}'`,
		);
		const facts = kept
			? (JSON.parse(kept.value_utf8) as KeptSession).facts
			: null;
		return {
			rows: { "Restate's state": facts && shownRow(facts) },
			draining: facts?.draining.length ?? 0,
		};
	}

	/** Nothing is left of the scenario before. */
	async #clear(): Promise<void> {
		if (this.#port === 0) return;
		await inTime("nothing is under way", async () => {
			const open = await this.#server.query<{ id: string }>(
				"SELECT id FROM sys_invocation WHERE status <> 'completed'",
			);
			await Promise.all(
				open.map(({ id }) =>
					this.#server.ask(`invocations/${id}/kill`, "PATCH"),
				),
			);
			return open.length === 0;
		});
		await inTime("nothing is kept", async () => {
			const kept = await this.#server.query<{ name: string; key: string }>(
				"SELECT DISTINCT service_name AS name, service_key AS key FROM state",
			);
			await Promise.all(
				kept.map(({ name, key }) =>
					this.#server.ask(`services/${name}/state`, "POST", {
						object_key: key,
						new_state: {},
					}),
				),
			);
			return kept.length === 0;
		});
	}
}

/** Looks until it holds. */
async function inTime(
	what: string,
	holds: () => boolean | Promise<boolean>,
): Promise<void> {
	const late = Date.now() + 20_000;
	while (!(await holds())) {
		if (Date.now() > late) throw new Error(`not in time: ${what}`);
		await pause(2);
	}
}
