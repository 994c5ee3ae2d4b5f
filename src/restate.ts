/**
 * The same sessions on a Restate cluster: `sessionServices` are served by any number of processes, `connectSessions` is the runtime of a
 * host.
 *
 * @module turnkeeper/restate
 */
export { type ConnectOptions, connectSessions } from "./restate/client.ts";
export {
	type SessionServicesOptions,
	sessionServices,
} from "./restate/services.ts";
