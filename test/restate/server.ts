/** Owns a real Restate server for a test: started on loopback, on free ports, with a folder of its own, and stopped by who started it. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type Http2Server } from "node:http2";
import { createServer as createNetServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createEndpointHandler } from "@restatedev/restate-sdk";
import { sessionServices } from "turnkeeper/restate";

/** The binary of this platform, without the wrapper that would stand between a signal and the server. */
const binary = new URL(
	`../../node_modules/@restatedev/restate-server-${process.platform}-${process.arch}/bin/restate-server`,
	import.meta.url,
).pathname;

export interface Server extends AsyncDisposable {
	readonly ingress: string;
	readonly admin: string;
	/** Makes an endpoint known; an id for its removal. */
	register(uri: string): Promise<string>;
}

async function freePort(): Promise<number> {
	const server = createNetServer().listen(0, "127.0.0.1");
	await once(server, "listening");
	const { port } = server.address() as { port: number };
	server.close();
	await once(server, "close");
	return port;
}

/** `replays`: each handler is suspended whenever it waits, and played again from its beginning. */
export async function startServer(
	options: { readonly replays?: boolean } = {},
): Promise<Server> {
	const folder = await mkdtemp(join(tmpdir(), "turnkeeper-restate-"));
	const [ingressPort, adminPort, nodePort] = await Promise.all([
		freePort(),
		freePort(),
		freePort(),
	]);
	const server = spawn(
		binary,
		["--base-dir", folder, "--node-name", "test", "--cluster-name", folder],
		{
			env: {
				RESTATE_INGRESS__BIND_ADDRESS: `127.0.0.1:${ingressPort}`,
				RESTATE_ADMIN__BIND_ADDRESS: `127.0.0.1:${adminPort}`,
				RESTATE_BIND_ADDRESS: `127.0.0.1:${nodePort}`,
				RESTATE_DEFAULT_NUM_PARTITIONS: "4",
				RESTATE_DISABLE_TELEMETRY: "true",
				RUST_LOG: "error",
				...(options.replays
					? { RESTATE_WORKER__INVOKER__INACTIVITY_TIMEOUT: "0s" }
					: {}),
			},
			stdio: "ignore",
		},
	);
	const stop = async () => {
		await killed(server);
		await rm(folder, { recursive: true, force: true });
	};
	const admin = `http://127.0.0.1:${adminPort}`;
	const ingress = `http://127.0.0.1:${ingressPort}`;
	try {
		await healthy(server, `${admin}/health`);
		await healthy(server, `${ingress}/restate/health`);
	} catch (error) {
		await stop();
		throw error;
	}
	return {
		ingress,
		admin,
		register: async (uri) => {
			const response = await fetch(`${admin}/deployments`, {
				method: "POST",
				headers: { "content-type": "application/json" },
				body: JSON.stringify({ uri, force: true }),
			});
			const answer = await response.text();
			if (!response.ok) throw new Error(`${response.status}: ${answer}`);
			return JSON.parse(answer).id;
		},
		[Symbol.asyncDispose]: stop,
	};
}

async function healthy(server: ChildProcess, url: string): Promise<void> {
	for (;;) {
		if (server.exitCode !== null)
			throw new Error(`the Restate server ended with ${server.exitCode}`);
		try {
			if ((await fetch(url)).ok) return;
		} catch {
			// It is not up yet.
		}
		await new Promise((resolve) => setTimeout(resolve, 50));
	}
}

async function killed(child: ChildProcess): Promise<void> {
	if (child.exitCode !== null || child.signalCode !== null) return;
	const exit = once(child, "exit");
	child.kill("SIGKILL");
	await exit;
}

/** Serves the session services from this process, and makes them known. */
export async function serve<Input, Output, Meta>(
	server: Server,
	options: Omit<
		Parameters<typeof sessionServices<Input, Output, Meta>>[0],
		"ingress"
	>,
): Promise<AsyncDisposable> {
	const services = sessionServices<Input, Output, Meta>({
		ingress: server.ingress,
		...options,
	});
	const endpoint: Http2Server = createServer(
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
