/** Owns the time that telemetry is told: the host's clock where it brings one, else that of the SDK, which its other spans have too. */
import { type Clock, runtimeClock, systemClock } from "../clock.ts";

/** A clock that is only looked at. */
export type TelemetryClock = Pick<Clock, "now" | "monotonic">;

export class Timing {
	readonly #isOwn: boolean;
	/** Epoch ms. */
	readonly now: () => number;
	/** Time as it passes, in ms. */
	readonly monotonic: () => number;

	constructor(clock: TelemetryClock | undefined) {
		this.#isOwn = clock !== undefined;
		const { now, monotonic } = runtimeClock({ ...systemClock, ...seen(clock) });
		this.now = now;
		this.monotonic = monotonic;
	}

	/** When a span or an event is, or undefined: as the SDK says. */
	at(): number | undefined {
		return this.#isOwn ? this.now() : undefined;
	}

	/** Seconds since a moment of the monotonic clock. */
	since(began: number): number {
		return Math.max(0, this.monotonic() - began) / 1000;
	}
}

/** Of a clock that is given, nothing is the system's. */
function seen(clock: TelemetryClock | undefined): Partial<Clock> {
	if (clock === undefined) return {};
	const now = () => clock.now();
	const monotonic = clock.monotonic?.bind(clock);
	return { now, monotonic: monotonic as () => number };
}
