/** Owns what runs tell while they run, for those who follow: the newest values of one run, until a while after its end. */
import {
	handlers,
	type ObjectContext,
	type ObjectSharedContext,
	object,
	rpc,
} from "@restatedev/restate-sdk";
import type { JsonValue } from "../../machines/json.ts";
import {
	type ProgressApi,
	type ProgressPage,
	progressService,
} from "./protocol.ts";

/** As many as the embedded engine keeps of a live run. */
const mostValues = 1000;
/** Where nobody says when the run is over. */
const longestKept = { days: 1 };

type State = {
	told: { readonly values: readonly JsonValue[]; readonly next: number };
	waiters: readonly string[];
};

export const progressObject = object({
	name: progressService,
	options: { enableLazyState: true, idempotencyRetention: { minutes: 10 } },
	handlers: {
		add: async (ctx: ObjectContext<State>, values: readonly JsonValue[]) => {
			const told = await toldIn(ctx);
			if (told.next === 1)
				ctx
					.objectSendClient<ProgressApi>({ name: progressService }, ctx.key)
					.forget(rpc.sendOpts({ delay: longestKept }));
			ctx.set("told", {
				values: [...told.values, ...values].slice(-mostValues),
				next: told.next + values.length,
			});
			for (const id of (await ctx.get("waiters")) ?? [])
				ctx.resolveAwakeable(id);
			ctx.clear("waiters");
		},
		take: internal(
			async (
				ctx: ObjectContext<State>,
				{
					from,
					awakeable,
				}: { readonly from: number; readonly awakeable: string },
			): Promise<ProgressPage | null> => {
				const page = pageFrom(from, await toldIn(ctx));
				if (page.items.length > 0) return page;
				ctx.set("waiters", [...((await ctx.get("waiters")) ?? []), awakeable]);
				return null;
			},
		),
		forget: internal(async (ctx: ObjectContext<State>) => {
			for (const id of (await ctx.get("waiters")) ?? [])
				ctx.resolveAwakeable(id);
			ctx.clearAll();
		}),
		read: handlers.object.shared(
			async (ctx: ObjectSharedContext<State>, from: number) =>
				pageFrom(from, await toldIn(ctx)),
		),
		follow: handlers.object.shared(
			async (ctx: ObjectSharedContext<State>, from: number) => {
				const { id, promise } = ctx.awakeable();
				const own = ctx.objectClient<ProgressApi>(
					{ name: progressService },
					ctx.key,
				);
				const page = await own.take({ from, awakeable: id });
				if (page) return page;
				await promise;
				return own.read(from);
			},
		),
	},
});

/** For Restate's own calls alone: not by its ingress. */
function internal<Arg, Value>(
	handler: (ctx: ObjectContext<State>, arg: Arg) => Promise<Value>,
) {
	return handlers.object.exclusive({ ingressPrivate: true }, handler);
}

async function toldIn(ctx: ObjectSharedContext<State>): Promise<State["told"]> {
	return (await ctx.get("told")) ?? { values: [], next: 1 };
}

function pageFrom(from: number, { values, next }: State["told"]): ProgressPage {
	const first = next - values.length;
	const items = values.map((value, i) => ({ seq: first + i, value }));
	return { items: items.filter(({ seq }) => seq >= from), next };
}
