/** Owns how a group is played: each contender in its process, in turn within a round, never two at once, every second round backwards. */
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { type FsyncTime, fsyncTime } from "./fsync.ts";
import { ContenderProcess } from "./process.ts";
import type { Progress } from "./progress.ts";
import type { ContenderResult, GroupResult } from "./results.ts";
import { Absent, type Group, type Sample, type Workload } from "./workload.ts";

interface Playing {
	readonly name: string;
	readonly process: ContenderProcess;
	readonly folder: string;
	readonly samples: Sample[];
	absent: string | null;
}

export async function play(
	workload: Workload,
	group: Group,
	given: { folder: string; rounds: number; progress: Progress },
): Promise<GroupResult> {
	const { folder, progress } = given;
	const rounds = group.rounds ?? given.rounds;
	const warmUp = group.warmUp ?? 1;
	const shared = join(folder, workload.name);
	mkdirSync(shared, { recursive: true });
	const fsync: FsyncTime = fsyncTime(shared);
	const all: Playing[] = [];
	try {
		for (const [at, name] of group.contenders.entries()) {
			progress.show(`${group.name}: ${name} gets ready`);
			const own = join(shared, `contender-${at}`);
			mkdirSync(own, { recursive: true });
			const playing: Playing = {
				name,
				process: new ContenderProcess(name, group.execArgv),
				folder: own,
				samples: [],
				absent: null,
			};
			all.push(playing);
			await getReady(playing, workload, group, shared);
		}
		const present = all.filter(({ absent }) => absent === null);
		for (let round = 0; round < warmUp + rounds; round++)
			for (const one of round % 2 === 0 ? present : present.toReversed()) {
				const said =
					round < warmUp
						? "warms up"
						: `round ${round - warmUp + 1} of ${rounds}`;
				progress.show(`${group.name}: ${said}, ${one.name}`);
				await unlessFailed(one, async () => {
					const sample = await one.process.tell({ order: "round" });
					if (round >= warmUp) one.samples.push(sample);
				});
			}
		for (const one of present)
			await unlessFailed(one, () => one.process.tell({ order: "close" }));
	} finally {
		for (const one of all) {
			await one.process.leave();
			rmSync(one.folder, { recursive: true, force: true });
		}
	}
	return {
		workload: workload.name,
		name: group.name,
		what: group.what,
		job: group.job,
		measures: group.measures,
		rounds,
		fsync,
		contenders: all.map(
			({ name, samples, absent }): ContenderResult => ({
				name,
				samples,
				absent,
			}),
		),
	};
}

/** What one contender fails at is no reason to lose what the others were measured at. It is left out, and the bench fails in the end. */
async function unlessFailed(
	playing: Playing,
	act: () => Promise<unknown>,
): Promise<void> {
	if (playing.absent !== null) return;
	try {
		await act();
	} catch (error) {
		playing.absent = error instanceof Error ? error.message : String(error);
		playing.samples.length = 0;
		if (!(error instanceof Absent)) process.exitCode = 1;
		await playing.process.leave();
	}
}

async function getReady(
	playing: Playing,
	workload: Workload,
	group: Group,
	shared: string,
): Promise<void> {
	await unlessFailed(playing, () =>
		playing.process.tell({
			order: "ready",
			workload: workload.name,
			contender: playing.name,
			job: group.job,
			place: { folder: playing.folder, shared },
		}),
	);
}
