/** Owns the Restate servers of a cluster on loopback: each a process with a folder and ports of its own, started together, killed one by one. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";

/** The server of this platform, without the wrapper that would stand between a signal and it. */
const binary = new URL(
	`../../node_modules/@restatedev/restate-server-${process.platform}-${process.arch}/bin/restate-server`,
	import.meta.url,
).pathname;

export interface RestateServer {
	readonly name: string;
	readonly ingress: string;
	readonly admin: string;
	/** Between the servers. */
	readonly address: string;
	process: ChildProcess;
}

export interface ServersOptions {
	/** How many; 1 keeps everything to itself, more keep each thing on two of them. */
	readonly count?: number;
	readonly partitions?: number;
	/** More settings, as environment variables of the server. */
	readonly env?: Readonly<Record<string, string>>;
}

/** Where servers begin to listen is not theirs to say: free ports are looked for before. */
async function freePort(): Promise<number> {
	const server = createServer().listen(0, "127.0.0.1");
	await once(server, "listening");
	const { port } = server.address() as { port: number };
	server.close();
	await once(server, "close");
	return port;
}

export class Servers implements AsyncDisposable {
	readonly #folder: string;
	readonly #options: ServersOptions;
	readonly all: readonly RestateServer[];

	private constructor(
		folder: string,
		options: ServersOptions,
		ports: readonly (readonly [number, number, number])[],
	) {
		this.#folder = folder;
		this.#options = options;
		this.all = ports.map(([ingress, admin, node], i) => ({
			name: `node-${i + 1}`,
			ingress: `http://127.0.0.1:${ingress}`,
			admin: `http://127.0.0.1:${admin}`,
			address: `http://127.0.0.1:${node}`,
			process: null as unknown as ChildProcess,
		}));
	}

	/** Resolves when each of them answers. */
	static async start(options: ServersOptions = {}): Promise<Servers> {
		const folder = await mkdtemp(join(tmpdir(), "restate-"));
		const { count = 1 } = options;
		const ports = await Promise.all(
			Array.from({ length: count }, () =>
				Promise.all([freePort(), freePort(), freePort()]),
			),
		);
		const servers = new Servers(folder, options, ports);
		try {
			await Promise.all(servers.all.map((one) => servers.begin(one)));
		} catch (error) {
			await servers[Symbol.asyncDispose]();
			throw error;
		}
		return servers;
	}

	/** Starts one that is not there, on what it left. */
	async begin(server: RestateServer): Promise<void> {
		const { name, ingress, admin, address } = server;
		const isAlone = this.all.length === 1;
		const isFirst = server === this.all[0];
		server.process = spawn(
			binary,
			["--base-dir", join(this.#folder, name), "--node-name", name],
			{
				env: {
					RESTATE_CLUSTER_NAME: this.#folder,
					RESTATE_INGRESS__BIND_ADDRESS: hostOf(ingress),
					RESTATE_ADMIN__BIND_ADDRESS: hostOf(admin),
					RESTATE_BIND_ADDRESS: hostOf(address),
					RESTATE_ADVERTISED_ADDRESS: address,
					RESTATE_DEFAULT_NUM_PARTITIONS: String(this.#options.partitions ?? 4),
					RESTATE_DISABLE_TELEMETRY: "true",
					RUST_LOG: "error",
					...(isAlone
						? {}
						: {
								RESTATE_AUTO_PROVISION: String(isFirst),
								RESTATE_DEFAULT_REPLICATION: "2",
								RESTATE_METADATA_CLIENT__ADDRESSES: JSON.stringify(
									this.all.map((one) => one.address),
								),
							}),
					...this.#options.env,
				},
				stdio: "ignore",
			},
		);
		await healthy(server.process, `${admin}/health`);
		await healthy(server.process, `${ingress}/restate/health`);
	}

	async kill({ process: child }: RestateServer): Promise<void> {
		if (child === null || isOver(child)) return;
		const exit = once(child, "exit");
		child.kill("SIGKILL");
		await exit;
	}

	/** Those that are there. */
	get running(): readonly RestateServer[] {
		return this.all.filter(({ process: child }) => child && !isOver(child));
	}

	/** Makes an endpoint known to all. */
	async register(uri: string): Promise<void> {
		const [server] = this.running;
		const response = await fetch(`${server?.admin}/deployments`, {
			method: "POST",
			headers: { "content-type": "application/json" },
			body: JSON.stringify({ uri, force: true }),
		});
		const answer = await response.text();
		if (!response.ok) throw new Error(`${response.status}: ${answer}`);
		const [service] = (JSON.parse(answer) as { services: { name: string }[] })
			.services;
		// It takes a moment until each of them knows.
		for (const { ingress } of this.running)
			while (!(await knows(ingress, service?.name ?? ""))) await pause(50);
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await Promise.all(this.all.map((one) => this.kill(one)));
		await rm(this.#folder, { recursive: true, force: true });
	}
}

async function knows(ingress: string, service: string): Promise<boolean> {
	const response = await fetch(`${ingress}/${service}/-/-`, { method: "POST" });
	return !(await response.text()).includes(`service '${service}' not found`);
}

function isOver({ exitCode, signalCode }: ChildProcess): boolean {
	return exitCode !== null || signalCode !== null;
}

function hostOf(url: string): string {
	return new URL(url).host;
}

async function healthy(child: ChildProcess, url: string): Promise<void> {
	for (;;) {
		if (isOver(child))
			throw new Error(`a Restate server ended with ${child.exitCode}`);
		try {
			if ((await fetch(url)).ok) return;
		} catch {
			// It is not up yet.
		}
		await pause(50);
	}
}
