/** Owns the one address of several replicas: connections go to whichever of them is there, and one can be cut off from the server. */
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";

export class Balancer implements AsyncDisposable {
	readonly #server = createServer((socket) => this.#pass(socket));
	readonly #ports = new Map<number, Set<Socket>>();
	#turn = 0;

	/** Resolves with its address. */
	async listen(): Promise<string> {
		this.#server.listen(0, "127.0.0.1");
		await once(this.#server, "listening");
		const { port } = this.#server.address() as { port: number };
		return `http://127.0.0.1:${port}`;
	}

	add(port: number): void {
		this.#ports.set(port, new Set());
	}

	/** Nothing passes between the server and this replica any more; the replica itself goes on. */
	cut(port: number): void {
		for (const socket of this.#ports.get(port) ?? []) socket.destroy();
		this.#ports.delete(port);
	}

	#pass(socket: Socket): void {
		const ports = [...this.#ports.keys()];
		this.#turn += 1;
		const port = ports[this.#turn % ports.length];
		if (port === undefined) {
			socket.destroy();
			return;
		}
		const replica = connect(port, "127.0.0.1");
		const both = [socket, replica];
		for (const one of both) {
			this.#ports.get(port)?.add(one);
			const end = () => {
				for (const other of both) other.destroy();
			};
			one.on("error", end).on("close", end);
		}
		socket.pipe(replica).pipe(socket);
	}

	async [Symbol.asyncDispose](): Promise<void> {
		for (const port of [...this.#ports.keys()]) this.cut(port);
		this.#server.close();
	}
}
