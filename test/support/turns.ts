/** Owns when a test goes on that has set something off: once nothing is under way but what waits for something that has not happened. */
import {
	turns as ofEventLoop,
	VirtualClock,
} from "../../src/testing/virtual-clock.ts";

let until: (count?: number) => Promise<void> = ofEventLoop;

/** Lets all that is under way without a timer come to its end; with a count, only so many turns of the event loop pass where sessions are in it. */
export function turns(count?: number): Promise<void> {
	return until(count);
}

/** For sessions that are elsewhere, where a few turns of this event loop bring nothing to its end. */
export function turnUntil(nothingIsUnderWay: () => Promise<void>): void {
	until = nothingIsUnderWay;
}

/** A clock that stands still until a test moves it, and that lets what it sets off come to its end as `turns` does. */
export function stillClock(): VirtualClock {
	return new VirtualClock(undefined, () => turns());
}
