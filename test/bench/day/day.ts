/** Owns how a day of traffic is lived through in virtual time, and how long that takes in real time. */
import { createSessionRuntime } from "turnkeeper";
import { virtualClock } from "../../../src/testing/virtual-clock.ts";
import { type StoreKind, storeOf } from "../store.ts";
import { mustBe, type Player } from "../workload.ts";
import { type Traffic, trafficOf } from "./traffic.ts";

export function days(
	kind: StoreKind,
	folderOf: (round: number) => string,
	traffic: Traffic,
): Player {
	const arrivals = trafficOf(traffic);
	let rounds = 0;

	/** A fresh host, from midnight to when the last of the day has come to rest. */
	async function live() {
		const { store } = await storeOf(kind, folderOf(rounds));
		const clock = virtualClock();
		const runtime = createSessionRuntime<number, string>({
			store,
			clock,
			execute: ({ messages: [message], signal }) =>
				new Promise((resolve, reject) => {
					const timer = clock.setTimeout(
						() => resolve("done"),
						message?.input ?? 0,
					);
					signal.addEventListener(
						"abort",
						() => {
							clock.clearTimeout(timer);
							reject(signal.reason);
						},
						{ once: true },
					);
				}),
		});
		await runtime.start();
		let [passed, peak, settled] = [0, 0, 0];
		const open = new Set<Promise<unknown>>();
		const follow = (call: Promise<unknown>) => {
			open.add(call);
			void call.finally(() => open.delete(call));
		};
		for (const { at, sessionKey, runMs } of arrivals) {
			await clock.advance(at - passed);
			passed = at;
			peak = Math.max(peak, runtime.stats().resident);
			follow(
				runMs === null
					? runtime.reset(sessionKey, { reason: "/new" })
					: runtime.send(sessionKey, runMs).then(async (receipt) => {
							await receipt.settled;
							settled += 1;
						}),
			);
		}
		while (open.size > 0) await clock.advance(1000);
		const messages = arrivals.filter(({ runMs }) => runMs !== null).length;
		mustBe("messages that have an outcome", messages, settled);
		const { commits } = runtime.stats();
		await runtime.close();
		return { peak, commits };
	}

	return {
		async round() {
			rounds += 1;
			const began = performance.now();
			const { peak, commits } = await live();
			return {
				day: (performance.now() - began) / 1000,
				arrivals: arrivals.length,
				commits,
				peak,
			};
		},
		close: async () => {},
	};
}
