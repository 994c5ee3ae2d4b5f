/**
 * Owns when what is old is erased: in small batches between which everybody else gets a turn, and never what waits, runs or drains. What a
 * rule means is the store's to know.
 */
import type { RuntimeClock } from "./clock.ts";
import type { Retention as Limits } from "./config.ts";
import { errorText, TurnkeeperError } from "./errors.ts";
import type { OpenStore, PruneRule } from "./store.ts";

const roundEveryMs = 300_000;
const batchSize = 200;
const betweenBatchesMs = 20;

export class Retention {
	readonly #limits: Limits;
	readonly #clock: RuntimeClock;
	readonly #store: OpenStore;
	readonly #trouble: (error: TurnkeeperError) => void;
	/** Session keys with a new generation, by its number. */
	#grown = new Map<string, number>();
	#timer: unknown = null;
	#round: Promise<void> | null = null;
	#isOver = false;
	/** Ends the pause between two batches. */
	#goOn: () => void = () => {};

	constructor(
		limits: Limits,
		clock: RuntimeClock,
		store: OpenStore,
		trouble: (error: TurnkeeperError) => void,
	) {
		this.#limits = limits;
		this.#clock = clock;
		this.#store = store;
		this.#trouble = trouble;
	}

	/** The first round begins at once, and one after each while. */
	start(): void {
		this.#later(0);
	}

	/** A session began a new generation. */
	ended(sessionKey: string, generation: number): void {
		const { generationsPerKey } = this.#limits;
		if (generationsPerKey === null || generation <= generationsPerKey) return;
		if (this.#grown.size === 0) this.#later(betweenBatchesMs);
		this.#grown.set(sessionKey, generation);
	}

	/** Resolves when nothing is being erased any more. */
	async stop(): Promise<void> {
		this.#isOver = true;
		this.#clock.clearTimeout(this.#timer);
		this.#goOn();
		await this.#round;
	}

	#later(ms: number): void {
		if (this.#isOver || this.#round) return;
		this.#clock.clearTimeout(this.#timer);
		this.#timer = this.#clock.setTimeout(() => {
			this.#round = this.#erase().then((isDone) => {
				this.#round = null;
				const soon = isDone && this.#grown.size > 0;
				this.#later(soon ? betweenBatchesMs : roundEveryMs);
			});
		}, ms);
		// Old records alone are no reason for the process to stay.
		(this.#timer as { unref?: () => void } | null)?.unref?.();
	}

	/** False: it is to be tried again with the next round. */
	async #erase(): Promise<boolean> {
		const grown = this.#grown;
		this.#grown = new Map();
		try {
			for (const rule of this.#rules(grown)) await this.#apply(rule);
			return true;
		} catch (cause) {
			this.#grown = new Map([...grown, ...this.#grown]);
			this.#trouble(
				cause instanceof TurnkeeperError
					? cause
					: new TurnkeeperError(
							"STORE_FAILED",
							`old records could not be erased (${errorText(cause)}); it is tried again later`,
							{ cause },
						),
			);
			return false;
		}
	}

	#rules(grown: ReadonlyMap<string, number>): PruneRule[] {
		const { generationsPerKey, maxAgeMs, refusals, messageIdsMs } =
			this.#limits;
		const now = this.#clock.now();
		return [
			...[...grown].map(([sessionKey, generation]) => ({
				of: "generations" as const,
				sessionKey,
				before: generation - (generationsPerKey ?? 0),
			})),
			...(maxAgeMs === null
				? []
				: [{ of: "generations" as const, endedBefore: now - maxAgeMs }]),
			{ of: "messages", acceptedBefore: now - messageIdsMs },
			{ of: "refusals", keep: refusals },
		];
	}

	async #apply(rule: PruneRule): Promise<void> {
		while (!this.#isOver) {
			const { more } = await this.#store.prune(rule, batchSize);
			if (!more || this.#isOver) return;
			await new Promise<void>((next) => {
				this.#goOn = next;
				this.#clock.setTimeout(next, betweenBatchesMs);
			});
		}
	}
}
