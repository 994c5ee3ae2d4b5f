/**
 * Owns a contender's process: it gets ready, plays a round when it is told to, and is closed. Started by the bench and never by hand; it
 * is alone on the machine while it plays.
 */
import { Absent, type Job, type Place, type Player } from "./workload.ts";
import { workloadNamed } from "./workloads/all.ts";

export type Order =
	| {
			readonly order: "ready";
			readonly workload: string;
			readonly contender: string;
			readonly job: Job;
			readonly place: Place;
	  }
	| { readonly order: "round" }
	| { readonly order: "close" };

export type Report =
	| { readonly done: Record<string, number> }
	| { readonly absent: string }
	| { readonly failed: string };

let player: Player | null = null;

async function obey(order: Order): Promise<Record<string, number>> {
	if (order.order === "ready") {
		const workload = await workloadNamed(order.workload);
		player = await workload.ready(order.contender, order.job, order.place);
		return {};
	}
	if (!player) throw new Error(`${order.order} came before ready`);
	if (order.order === "round") return player.round();
	await player.close();
	return {};
}

process.on("message", (order: Order) => {
	const tell = (report: Report) => process.send?.(report);
	obey(order).then(
		(done) => tell({ done }),
		(error: unknown) =>
			tell(
				error instanceof Absent
					? { absent: error.message }
					: {
							failed:
								error instanceof Error ? String(error.stack) : String(error),
						},
			),
	);
});
