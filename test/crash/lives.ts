/** Owns lives that follow each other on one file, each ended by kill -9, and after each the promises. The last life comes to its end by itself. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { sqliteStore } from "turnkeeper/sqlite";
import { generator } from "../../src/testing/random.ts";
import { type Death, liveOnce } from "./life.ts";
import {
	families,
	familyOf,
	type LifeOptions,
	type Said,
} from "./testimony.ts";
import { Witness } from "./witness.ts";

/** The promises did not hold. The file stays where it is. */
export class PromiseBroken extends Error {}

/** How often what was said over all lives of a file, and how many of them were killed. */
export type Tally = Partial<Record<Said["said"] | "kills", number>>;

const keys = Object.entries(families).flatMap(([family, count]) =>
	Array.from({ length: count }, (_, i) => `${family}-${i}`),
);

/**
 * Plays lives on a file of their own, whose database each life has on a thread, or none has.
 *
 * @throws PromiseBroken, with the seed, the life, what was found and where the file is
 */
export async function playLives(
	seed: number,
	kills: number,
	thread: boolean,
	lived: (life: number) => void = () => {},
): Promise<Tally> {
	const folder = mkdtempSync(join(tmpdir(), "turnkeeper-crash-"));
	const file = join(folder, "sessions.db");
	const sideLog = join(folder, "deliveries.jsonl");
	writeFileSync(sideLog, "");
	const below = generator(seed);
	const pick = <One>(...of: readonly One[]) => of[below(of.length)] as One;
	const some = <One>(of: readonly One[], count: number) =>
		Array.from({ length: Math.min(count, of.length) }, () => pick(...of));
	const witness = new Witness(sideLog);

	for (let life = 1; life <= kills + 1; life++) {
		const isLast = life > kills;
		const recovery = pick("settle", "retry", "retry");
		const commit = 1 + below(pick(15, 200, 800));
		const options: LifeOptions = {
			file,
			sideLog,
			thread,
			seed,
			life,
			recovery,
			last: isLast,
			diesAt:
				!isLast && below(2) === 0
					? { commit, moment: pick("before", "after") }
					: null,
			accepted: some(witness.all("accepted").filter(isKept), 20),
			resets: some(witness.all("reset").filter(isKept), 10),
			leased: witness.leased,
		};
		const death: Death =
			below(10) === 0
				? { inBoot: below(600) }
				: { ms: below(1200), lines: 1 + below(pick(50, 500, 5000)) };
		const { testimony, wrong } = await liveOnce(options, isLast ? null : death);
		const found = wrong === null ? [] : [wrong];
		found.push(...witness.hear(testimony, recovery));
		// A host that was killed before it made the file has left none.
		if (testimony.length > 0 || life > 1) {
			await using reader = await readerOf(file);
			if (reader) found.push(...(await witness.check(reader, keys, isLast)));
		}
		if (found.length > 0)
			throw new PromiseBroken(
				`seed ${seed}${thread ? " on a thread" : ""}, life ${life} of ${kills + 1} (${JSON.stringify({ recovery, diesAt: options.diesAt, death })}):\n${found
					.slice(0, 10)
					.map((one) => `- ${one}`)
					.join("\n")}\nthe file is ${file}`,
			);
		if (!isLast) lived(life);
	}
	rmSync(folder, { recursive: true });
	const kinds: readonly Said["said"][] = [
		"accepted",
		"executing",
		"steered",
		"appended",
		"delivered",
		"answered",
		"resumed",
		"reset",
		"aborted",
		"removed",
		"admitted",
		"ended",
	];
	return {
		kills,
		...Object.fromEntries(
			kinds.map((kind) => [kind, witness.all(kind).length]),
		),
	};
}

/** Whether what it was told is kept for good, whatever is deleted. */
function isKept({ sessionKey }: { readonly sessionKey: string }): boolean {
	return familyOf(sessionKey) !== "purged";
}

/** A reader, or none where no owner has got as far as to make the file. */
async function readerOf(file: string) {
	try {
		return await sqliteStore(file).read();
	} catch (error) {
		if ((error as { code?: string }).code === "INVALID_ARGUMENT") return null;
		throw error;
	}
}
