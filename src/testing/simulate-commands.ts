/**
 * Owns the simulation as model-based commands for fast-check, which shrinks a broken promise to the few calls that break it. fast-check is
 * the caller's: nothing of it is imported here.
 */
import { checkMethods } from "../arguments.ts";
import {
	defaultKeys,
	judged,
	type SimulateOptions,
	worldOf,
} from "./simulate.ts";
import { drawBoot, drawMoves, type Move } from "./simulate-moves.ts";
import type { World } from "./simulate-world.ts";

/** What is used of fast-check. */
interface FastCheck<Arbitrary> {
	nat(max: number): MappedArbitrary;
	array(
		of: MappedArbitrary,
		how: { maxLength: number; size: "max" },
	): MappedArbitrary;
	commands(of: never[], how: { maxCommands: number; size: "max" }): Arbitrary;
	asyncModelRun(setup: never, commands: never): Promise<void>;
}

interface MappedArbitrary {
	map(to: (value: never) => unknown): unknown;
}

/** What is played of each list of commands; the seed is fast-check's. */
export type CommandOptions = Omit<
	SimulateOptions,
	"seed" | "steps" | "onProgress"
> & {
	/** The most commands of a list. Default 60. */
	readonly maxCommands?: number;
};

/** One move of a simulation as fast-check runs it. */
class SessionCommand {
	readonly #move: Move;

	constructor(move: Move) {
		this.#move = move;
	}

	check(): boolean {
		return true;
	}

	async run(_model: object, world: World): Promise<void> {
		world.trace.step += 1;
		await judged(world, () => world.play(this.#move), told(world));
	}

	toString(): string {
		return JSON.stringify(this.#move);
	}
}

const mostChoices = 30;

/**
 * The moves of a simulation as commands of fast-check, and how a list of them is run: on a fresh runtime, every promise checked after each
 * command and once all has come to its end.
 *
 * @example
 * const { commands, run } = sessionCommands(fc);
 * await fc.assert(fc.asyncProperty(commands, run));
 * @throws INVALID_ARGUMENT if it is not given fast-check; `run` rejects with PromiseBroken
 */
export function sessionCommands<Arbitrary>(
	fc: {
		commands(...args: never[]): Arbitrary;
		asyncModelRun(...args: never[]): Promise<void>;
	},
	options: CommandOptions = {},
): {
	readonly commands: Arbitrary;
	readonly run: (commands: Iterable<unknown>) => Promise<void>;
} {
	checkMethods(fc, "fc, which must be fast-check,", [
		"nat",
		"array",
		"commands",
		"asyncModelRun",
	]);
	const { maxCommands = 60, ...simulated } = options;
	const given = fc as unknown as FastCheck<Arbitrary>;
	const command = given
		.array(given.nat(9999), { maxLength: mostChoices, size: "max" })
		.map((choices: readonly number[]) => {
			const moves = drawMoves(
				chosen(choices),
				{
					keys: options.keys ?? defaultKeys,
					scripted: options.execute === undefined,
					faults: options.faults ?? true,
					crashes: options.crashes ?? true,
				},
				null,
			);
			return new SessionCommand(moves.next().value);
		});
	return {
		commands: given.commands([command as never], { maxCommands, size: "max" }),
		run: async (commands) => {
			let world: World | null = null;
			const setup = async () => {
				const chance = chosen([]);
				const fresh = await worldOf(simulated, chance);
				world = fresh;
				await judged(
					fresh,
					() => fresh.boot(drawBoot(chance, null)),
					told(fresh),
				);
				return { model: {}, real: fresh };
			};
			await given.asyncModelRun(setup as never, commands as never);
			const played = world as World | null;
			if (played) await judged(played, () => played.end(), told(played));
		},
	};
}

/** Chance that was chosen before; when it is used up, the first of all there is. Shrunk choices are simple ones. */
function chosen(choices: readonly number[]): (below: number) => number {
	let next = 0;
	return (below) => {
		const choice = choices[next] ?? 0;
		next += 1;
		return choice % below;
	};
}

function told(world: World) {
	return {
		seed: null,
		replay: `after ${world.trace.step} commands; fast-check says how to see it again`,
	};
}
