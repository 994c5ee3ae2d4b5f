/** Owns what a Restate endpoint is given: the object of sessions, the service that executes their runs, and the object of their progress. */
import type { EndpointOptions } from "@restatedev/restate-sdk";
import type { JsonValue } from "../../machines/json.ts";
import {
	checkMs,
	checkOptions,
	checkUrl,
	invalid,
	shown,
} from "../arguments.ts";
import { configOf } from "../config.ts";
import { memoryStore } from "../memory.ts";
import type { ManagedRun, RuntimeOptions } from "../runtime.ts";
import {
	defaultTimeoutMs,
	type ServicesConfig,
	systemSource,
} from "./config.ts";
import { Door } from "./door.ts";
import { progressObject } from "./progress-object.ts";
import { runService } from "./run-service.ts";
import { sessionObject } from "./session-object.ts";

/**
 * As for the embedded engine, where they mean the same. The functions among them are called while a session's object decides, so they must
 * answer at once and always alike: Restate may play a call again.
 */
export interface SessionServicesOptions<Input, Output, Meta>
	extends Pick<
		RuntimeOptions<Input, Output, Meta>,
		| "carryOver"
		| "expiry"
		| "graceMs"
		| "logger"
		| "overlap"
		| "recovery"
		| "runTimeoutMs"
		| "schemas"
	> {
	/** URL of Restate's ingress, by which a run reaches its session: `http://127.0.0.1:8080`. */
	readonly ingress: string;
	/** Executes runs. Leave out when the host runs its agent itself (`admit`, `report`). */
	readonly run?: (run: ManagedRun<Input, Meta>) => Promise<Output> | Output;
	/** Sent with every call to the ingress, such as an authorization. */
	readonly headers?: Record<string, string>;
	/** How long the answer to what a run asks of its session may take, in ms. Default 30_000. */
	readonly timeoutMs?: number;
}

/**
 * The services to bind in a Restate endpoint. Any number of processes may serve them.
 *
 * @example createServer(createEndpointHandler({ services: sessionServices({ ingress: "http://127.0.0.1:8080", run }) })).listen(9080);
 * @throws INVALID_ARGUMENT for options that cannot work
 */
export function sessionServices<
	Input = JsonValue,
	Output = unknown,
	Meta = JsonValue,
>(
	options: SessionServicesOptions<Input, Output, Meta>,
): EndpointOptions["services"] {
	const { ingress, run, headers, timeoutMs, ...same } = checkOptions(options);
	checkUrl(ingress, "options.ingress", "http://127.0.0.1:8080");
	if (run !== undefined && typeof run !== "function")
		throw invalid(`options.run is ${shown(run)}; it must be a function`);
	const config = configOf<Input, Output, Meta>({
		...same,
		...(run ? { execute: run } : {}),
		// What is kept is kept by Restate.
		store: memoryStore(),
	});
	const door = new Door(
		ingress as string,
		checkMs(timeoutMs ?? defaultTimeoutMs, "options.timeoutMs"),
		headers,
		systemSource.nowFor,
	);
	// An engine lives for one call: nothing of it comes to rest.
	const passivateAfterMs = Number.POSITIVE_INFINITY;
	return servicesOf({ ...config, ...systemSource, passivateAfterMs }, door);
}

export function servicesOf<Input, Output, Meta>(
	config: ServicesConfig<Input, Output, Meta>,
	door: Door,
): EndpointOptions["services"] {
	return [sessionObject(config), runService(config, door), progressObject];
}
