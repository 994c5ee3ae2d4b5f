/**
 * `npm run bench:restate`: turns on a real Restate server, by sessions of turnkeeper and by handlers as one would write them by hand, in turn
 * within one run. A turn: a message is accepted, its run is executed as an invocation of its own, its end is written. `--rounds N`.
 */
import { once } from "node:events";
import { createServer } from "node:http2";
import { parseArgs } from "node:util";
import { createEndpointHandler } from "@restatedev/restate-sdk";
import { connect } from "@restatedev/restate-sdk-clients";
import { connectSessions, sessionServices } from "turnkeeper/restate";
import { Servers } from "../../examples/cluster/servers.ts";
import { plainServices } from "./bench-plain.ts";

const { values } = parseArgs({ options: { rounds: { type: "string" } } });
const rounds = Number(values.rounds ?? 5);
const sessions = 64;
const messages = 10;

interface Contender {
	/** Sends one message; resolves when it is accepted. */
	send(key: string, n: number): Promise<unknown>;
	/** Whether nothing runs or waits on a key any more. */
	isAtRest(key: string): Promise<boolean>;
}

/** Each turn of a round, one after the other on each key; turns a second. */
async function play(contender: Contender, round: string): Promise<number> {
	const keys = Array.from({ length: sessions }, (_, i) => `${round}/${i}`);
	const began = performance.now();
	await Promise.all(
		keys.map(async (key) => {
			for (let n = 0; n < messages; n++) await contender.send(key, n);
			while (!(await contender.isAtRest(key)));
		}),
	);
	return (sessions * messages * 1000) / (performance.now() - began);
}

function median(of: readonly number[]): number {
	return [...of].sort((a, b) => a - b)[Math.floor(of.length / 2)] as number;
}

async function measure(partitions: number, count: number): Promise<void> {
	await using servers = await Servers.start({ partitions, count });
	const [{ ingress }] = servers.all as [Servers["all"][number]];
	const run = async (input: string) => `re: ${input}`;
	const endpoint = createServer(
		createEndpointHandler({
			services: [
				...sessionServices<string, string>({
					ingress,
					run: ({ messages: [first] }) => run(first?.input ?? ""),
				}),
				...plainServices(run),
			],
			logger: () => {},
		}),
	);
	endpoint.listen(0, "127.0.0.1");
	await once(endpoint, "listening");
	const { port } = endpoint.address() as { port: number };
	await servers.register(`http://127.0.0.1:${port}`);
	const runtime = await connectSessions<string, string>({ ingress }).start();
	const http = connect({ url: ingress });
	const plain = (key: string) =>
		http.objectClient<{
			message(ctx: unknown, message: object): Promise<string>;
			read(
				ctx: unknown,
			): Promise<{ status: string; queue: readonly unknown[] } | null>;
		}>({ name: "PlainSession" }, key);
	const ours: Contender = {
		send: (key, n) => runtime.send(key, "hello", { messageId: `m${n}` }),
		isAtRest: async (key) => {
			await runtime.whenIdle(key);
			return true;
		},
	};
	const theirs: Contender = {
		send: async (key, n) =>
			plain(key).message({ messageId: `m${n}`, input: "hello" }),
		isAtRest: async (key) => {
			const row = await plain(key).read();
			return row?.status === "ended" && row.queue.length === 0;
		},
	};
	const seen = { ours: [] as number[], theirs: [] as number[] };
	const ratios: number[] = [];
	// The first round warms up.
	for (let round = 0; round <= rounds; round++) {
		const isBackwards = round % 2 === 1;
		const first = await play(isBackwards ? theirs : ours, `${round} a`);
		const second = await play(isBackwards ? ours : theirs, `${round} b`);
		const [own, other] = isBackwards ? [second, first] : [first, second];
		if (round === 0) continue;
		seen.ours.push(own);
		seen.theirs.push(other);
		ratios.push(own / other);
	}
	endpoint.close();
	console.log(
		`| ${count} | ${partitions} | ${median(seen.theirs).toFixed(0)} | ${median(seen.ours).toFixed(0)} | ${median(ratios).toFixed(2)} |`,
	);
}

console.log(
	"| servers | partitions | plain handlers, turns/s | turnkeeper, turns/s | ratio |\n|---|---|---|---|---|",
);
for (const [count, partitions] of [
	[1, 1],
	[1, 4],
	[1, 16],
	[3, 16],
] as const)
	await measure(partitions, count);
process.exit();
