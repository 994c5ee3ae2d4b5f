/**
 * What a host on Restate would write by hand, for the bench: an object for each key with a row and a line, a service that executes runs. No
 * identity of runs, no reset, no late events; as durable as Restate makes it.
 */
import {
	type Context,
	type ObjectContext,
	object,
	service,
} from "@restatedev/restate-sdk";

interface Row {
	status: "idle" | "running" | "ended";
	runId: string | null;
	runs: number;
	queue: { messageId: string; input: string }[];
	startedAt: number | null;
	endedAt: number | null;
}

interface Start {
	readonly key: string;
	readonly runId: string;
	readonly input: string;
}

const fresh: Row = {
	status: "idle",
	runId: null,
	runs: 0,
	queue: [],
	startedAt: null,
	endedAt: null,
};

type State = { row: Row } & Record<`message/${string}`, unknown>;

export function plainServices(run: (input: string) => Promise<string>) {
	const runs = service({
		name: "PlainRuns",
		handlers: {
			execute: async (ctx: Context, { key, runId, input }: Start) => {
				const output = await ctx.run("execute", () => run(input));
				ctx
					.objectSendClient<{
						ended(ctx: unknown, end: object): Promise<void>;
					}>({ name: "PlainSession" }, key)
					.ended({ runId, output });
			},
		},
	});
	const start = async (ctx: ObjectContext<State>, row: Row) => {
		const message = row.queue.shift();
		if (!message) return;
		row.status = "running";
		row.runId = ctx.rand.uuidv4();
		row.startedAt = await ctx.date.now();
		ctx.set(`message/${message.messageId}`, {
			...message,
			fate: "taken",
			runId: row.runId,
		});
		ctx
			.serviceSendClient(runs)
			.execute({ key: ctx.key, runId: row.runId, input: message.input });
	};
	const sessions = object({
		name: "PlainSession",
		options: { enableLazyState: true },
		handlers: {
			message: async (
				ctx: ObjectContext<State>,
				message: Row["queue"][number],
			) => {
				if (await ctx.get(`message/${message.messageId}`)) return "duplicate";
				const row = (await ctx.get("row")) ?? { ...fresh };
				row.queue.push(message);
				ctx.set(`message/${message.messageId}`, { ...message, fate: "queued" });
				const disposition = row.status === "running" ? "queued" : "started";
				if (disposition === "started") await start(ctx, row);
				ctx.set("row", row);
				return disposition;
			},
			ended: async (
				ctx: ObjectContext<State>,
				{ runId, output }: { runId: string; output: string },
			) => {
				const row = (await ctx.get("row")) ?? { ...fresh };
				row.status = "ended";
				row.endedAt = await ctx.date.now();
				row.runs += 1;
				ctx.set(`run/${runId}` as never, { runId, output } as never);
				await start(ctx, row);
				ctx.set("row", row);
			},
			read: async (ctx: ObjectContext<State>) => ctx.get("row"),
		},
	});
	return [runs, sessions];
}
