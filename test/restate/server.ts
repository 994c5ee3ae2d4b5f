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
	/** Asks its admin API. */
	ask(path: string, method: string, body?: object): Promise<Response>;
	/** Rows of its own tables. */
	query<Row>(sql: string): Promise<readonly Row[]>;
}

/** `replays`: each handler is suspended whenever it waits, and played again from its beginning. */
export async function startServer(
	options: { readonly replays?: boolean; readonly partitions?: number } = {},
): Promise<Server> {
	const { replays, partitions = 4 } = options;
	const servers = await Servers.start({
		partitions,
		env: replays ? { RESTATE_WORKER__INVOKER__INACTIVITY_TIMEOUT: "0s" } : {},
	});
	const [{ ingress, admin }] = servers.all as [Servers["all"][number]];
	const ask = (path: string, method: string, body?: object) =>
		fetch(`${admin}/${path}`, {
			method,
			headers: {
				accept: "application/json",
				"content-type": "application/json",
			},
			...(body ? { body: JSON.stringify(body) } : {}),
		});
	return {
		ingress,
		admin,
		register: (uri) => servers.register(uri),
		ask,
		async query<Row>(sql: string) {
			const response = await ask("query", "POST", { query: sql });
			if (!response.ok) throw new Error(await response.text());
			return ((await response.json()) as { rows: Row[] }).rows;
		},
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
	const endpoint = await listen(services);
	await server.register(endpoint.uri);
	return endpoint;
}

export interface Endpoint extends AsyncDisposable {
	readonly uri: string;
	readonly port: number;
}

/** Services at a port of this process; gone from one moment to the next. */
export async function listen(
	services: ReturnType<typeof sessionServices>,
	at = 0,
): Promise<Endpoint> {
	const endpoint = createServer(
		createEndpointHandler({ services, logger: () => {} }),
	);
	const sessions = new Set<{ destroy(): void }>();
	endpoint.on("session", (session) => {
		sessions.add(session);
		session.on("close", () => sessions.delete(session));
	});
	endpoint.listen(at, "127.0.0.1");
	await once(endpoint, "listening");
	const { port } = endpoint.address() as { port: number };
	return {
		port,
		uri: `http://127.0.0.1:${port}`,
		[Symbol.asyncDispose]: async () => {
			const closed = once(endpoint, "close");
			endpoint.close();
			for (const session of sessions) session.destroy();
			await closed;
		},
	};
}
