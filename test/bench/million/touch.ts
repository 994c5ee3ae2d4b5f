/** Owns what the first touch of a session costs that is not in memory, beside one that is: a message accepted, a row read. */
import { median } from "../statistics.ts";
import { mustBe, type Player } from "../workload.ts";
import { fileOf, knownKey } from "./file.ts";
import { hostOn, turnsOn } from "./host.ts";

export async function touches(
	shared: string,
	known: number,
	each: number,
): Promise<Player> {
	const host = hostOn(fileOf(shared, known));
	await host.start();
	const residents = Array.from({ length: each }, (_, i) => knownKey(i));
	await turnsOn(host, residents);
	// From the end on, where none was touched; those of a round are far from one another.
	const stride = 7919 % known || 1;
	let at = known - 1;
	function next(): string {
		do at = (at + stride) % known;
		while (at < each);
		return knownKey(at);
	}
	async function accepted(key: string): Promise<number> {
		const began = performance.now();
		const { settled } = await host.send(key, "hi");
		const took = performance.now() - began;
		await settled;
		return took;
	}
	async function read(key: string): Promise<number> {
		const began = performance.now();
		await host.get(key);
		return (performance.now() - began) * 1000;
	}
	return {
		async round() {
			const took = {
				first: [] as number[],
				again: [] as number[],
				readFirst: [] as number[],
				readAgain: [] as number[],
			};
			for (const resident of residents) {
				const before = host.stats().resident;
				took.readFirst.push(await read(next()));
				took.readAgain.push(await read(resident));
				took.first.push(await accepted(next()));
				mustBe("sessions that came in", 1, host.stats().resident - before);
				took.again.push(await accepted(resident));
			}
			return Object.fromEntries(
				Object.entries(took).map(([name, times]) => [name, median(times)]),
			);
		},
		close: () => host.close(),
	};
}
