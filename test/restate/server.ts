/** Owns the endpoint of a test: the session services, served from its own process and known to the server. */
import { once } from "node:events";
import { createServer } from "node:http2";
import { createEndpointHandler } from "@restatedev/restate-sdk";
import { sessionServices } from "turnkeeper/restate";
import { Servers } from "../../examples/cluster/servers.ts";

/** One server. */
export interface Server extends AsyncDisposable {
	readonly ingress: string;
	readonly admin: string;
	register(uri: string): Promise<void>;
}

/** `replays`: each handler is suspended whenever it waits, and played again from its beginning. */
export async function startServer(
	options: { readonly replays?: boolean } = {},
): Promise<Server> {
	const servers = await Servers.start(
		options.replays
			? { env: { RESTATE_WORKER__INVOKER__INACTIVITY_TIMEOUT: "0s" } }
			: {},
	);
	const [{ ingress, admin }] = servers.all as [Servers["all"][number]];
	return {
		ingress,
		admin,
		register: (uri) => servers.register(uri),
		[Symbol.asyncDispose]: () => servers[Symbol.asyncDispose](),
	};
}

/** Serves the session services from this process, and makes them known. */
export async function serve<Input, Output, Meta>(
	server: Server,
	options: Omit<
		Parameters<typeof sessionServices<Input, Output, Meta>>[0],
		"ingress"
	>,
): Promise<AsyncDisposable> {
	const { ingress } = server;
	const given = { ingress, ...options };
	return serveServices(server, sessionServices<Input, Output, Meta>(given));
}

export async function serveServices(
	server: Server,
	services: ReturnType<typeof sessionServices>,
): Promise<AsyncDisposable> {
	const endpoint = createServer(
		createEndpointHandler({ services, logger: () => {} }),
	);
	const sessions = new Set<{ destroy(): void }>();
	endpoint.on("session", (session) => {
		sessions.add(session);
		session.on("close", () => sessions.delete(session));
	});
	endpoint.listen(0, "127.0.0.1");
	await once(endpoint, "listening");
	const { port } = endpoint.address() as { port: number };
	await server.register(`http://127.0.0.1:${port}`);
	return {
		[Symbol.asyncDispose]: async () => {
			endpoint.close();
			for (const session of sessions) session.destroy();
		},
	};
}
