import fc from "fast-check";
import { describe, expect, test, vi } from "vitest";
import {
	type DailyExpiry,
	type ExpiryPolicy,
	expiryOf,
	lastBoundary,
	type RestingSince,
} from "../../machines/expiry.ts";

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const dayMs = 24 * hourMs;

/** One seed for all: the days that are drawn are the same in every run. */
const seed = 20_260_329;

function iso(at: number): string {
	return new Date(at).toISOString().replace(/(:00)?\.000Z$/, "Z");
}

describe("a day begins anew at its hour", () => {
	/** Three boundaries that follow each other, in UTC. */
	const cases: [string, string, number, [string, string, string]][] = [
		[
			"an ordinary day",
			"Europe/Berlin",
			4,
			["2026-01-14T03:00Z", "2026-01-15T03:00Z", "2026-01-16T03:00Z"],
		],
		[
			"an hour that spring skips: the jump",
			"Europe/Berlin",
			2,
			["2026-03-28T01:00Z", "2026-03-29T01:00Z", "2026-03-30T00:00Z"],
		],
		[
			"the hour after the skipped one: the same jump",
			"Europe/Berlin",
			3,
			["2026-03-28T02:00Z", "2026-03-29T01:00Z", "2026-03-30T01:00Z"],
		],
		[
			"an hour that autumn repeats: the first of the two",
			"Europe/Berlin",
			2,
			["2026-10-24T00:00Z", "2026-10-25T00:00Z", "2026-10-26T01:00Z"],
		],
		[
			"the hour after the repeated one: once that is over",
			"Europe/Berlin",
			3,
			["2026-10-24T01:00Z", "2026-10-25T02:00Z", "2026-10-26T02:00Z"],
		],
		[
			"a midnight that spring skips in Santiago",
			"America/Santiago",
			0,
			["2025-09-06T04:00Z", "2025-09-07T04:00Z", "2025-09-08T03:00Z"],
		],
		[
			"a midnight that autumn puts off in Santiago",
			"America/Santiago",
			0,
			["2025-04-05T03:00Z", "2025-04-06T04:00Z", "2025-04-07T04:00Z"],
		],
		[
			"the hour before it, which comes twice",
			"America/Santiago",
			23,
			["2025-04-05T02:00Z", "2025-04-06T02:00Z", "2025-04-07T03:00Z"],
		],
		[
			"a midnight that spring skips in Cairo",
			"Africa/Cairo",
			0,
			["2024-04-24T22:00Z", "2024-04-25T22:00Z", "2024-04-26T21:00Z"],
		],
		[
			"a midnight that autumn puts off in Cairo",
			"Africa/Cairo",
			0,
			["2024-10-30T21:00Z", "2024-10-31T22:00Z", "2024-11-01T22:00Z"],
		],
		[
			"a last hour that spring skips: the jump, though it is the next date",
			"America/Nuuk",
			23,
			["2025-03-29T01:00Z", "2025-03-30T01:00Z", "2025-03-31T00:00Z"],
		],
		[
			"a midnight that comes, goes back to the date before, and comes again",
			"America/St_Johns",
			0,
			["2010-11-06T02:30Z", "2010-11-07T02:30Z", "2010-11-08T03:30Z"],
		],
		[
			"a spring of half an hour, into the hour",
			"Australia/Lord_Howe",
			2,
			["2025-10-03T15:30Z", "2025-10-04T15:30Z", "2025-10-05T15:00Z"],
		],
		[
			"an autumn of half an hour, the hour that is 90 minutes long",
			"Australia/Lord_Howe",
			1,
			["2025-04-04T14:00Z", "2025-04-05T14:00Z", "2025-04-06T14:30Z"],
		],
		[
			"an autumn of half an hour, the hour after it",
			"Australia/Lord_Howe",
			2,
			["2025-04-04T15:00Z", "2025-04-05T15:30Z", "2025-04-06T15:30Z"],
		],
		[
			"45 minutes off",
			"Asia/Kathmandu",
			4,
			["2025-12-31T22:15Z", "2026-01-01T22:15Z", "2026-01-02T22:15Z"],
		],
		[
			"45 minutes off and a spring at 02:45",
			"Pacific/Chatham",
			3,
			["2025-09-26T14:15Z", "2025-09-27T14:00Z", "2025-09-28T13:15Z"],
		],
		[
			"44 and a half minutes off",
			"Africa/Monrovia",
			0,
			["1970-01-01T00:44:30Z", "1970-01-02T00:44:30Z", "1970-01-03T00:44:30Z"],
		],
		[
			"a date that was skipped has none",
			"Pacific/Apia",
			5,
			["2011-12-28T15:00Z", "2011-12-29T15:00Z", "2011-12-30T15:00Z"],
		],
		[
			"a date that was skipped, at midnight",
			"Pacific/Apia",
			0,
			["2011-12-29T10:00Z", "2011-12-30T10:00Z", "2011-12-31T10:00Z"],
		],
		[
			"a date that came twice has one",
			"Pacific/Kwajalein",
			4,
			["1969-09-28T17:00Z", "1969-09-29T17:00Z", "1969-10-01T16:00Z"],
		],
	];

	test.each(cases)("%s: %s %i:00", (_, timeZone, hour, expected) => {
		const daily = { timeZone, hour };
		const [before, boundary, after] = expected.map((at) => Date.parse(at)) as [
			number,
			number,
			number,
		];
		const asked = [
			before,
			boundary - 1,
			boundary,
			boundary + 1,
			after - 1,
			after,
		];
		const answers = [before, before, boundary, boundary, boundary, after];
		const ask = (at: number) => iso(lastBoundary(daily, at));
		expect(asked.map(ask)).toEqual(answers.map(iso));
		// Whatever was asked last, it is the same answer.
		expect(asked.toReversed().map(ask)).toEqual(answers.toReversed().map(iso));
	});

	test("a repeated hour is not begun again", () => {
		const daily = { hour: 2, timeZone: "Europe/Berlin" };
		const first = Date.parse("2026-10-25T00:00Z");
		for (const later of [hourMs - 1, hourMs, hourMs + 1, 2 * hourMs])
			expect(iso(lastBoundary(daily, first + later))).toBe(iso(first));
	});

	test("an unknown time zone is named", () => {
		expect(() =>
			lastBoundary({ hour: 4, timeZone: "Europe/Atlantis" }, 0),
		).toThrow(/Europe\/Atlantis/);
	});

	test("within a day that is known, no calendar is asked", () => {
		const daily = { hour: 7, timeZone: "Asia/Tokyo" };
		const calendar = vi.spyOn(Intl.DateTimeFormat.prototype, "formatToParts");
		try {
			const boundary = lastBoundary(daily, Date.parse("2026-05-05T12:00Z"));
			expect(calendar).toHaveBeenCalled();
			calendar.mockClear();
			lastBoundary(daily, boundary);
			lastBoundary(daily, boundary + dayMs - 1);
			expect(calendar).not.toHaveBeenCalled();
			lastBoundary(daily, boundary + dayMs);
			expect(calendar).toHaveBeenCalled();
		} finally {
			calendar.mockRestore();
		}
	});
});

describe("whatever the zone and the day", () => {
	/** A clock on the wall, read independently of the module: days since 1970-01-01, and the hour. */
	function wallClock(timeZone: string) {
		const format = new Intl.DateTimeFormat("sv-SE", {
			timeZone,
			dateStyle: "short",
			timeStyle: "short",
		});
		return (at: number) => {
			const shown = format.format(at);
			return {
				shown,
				date: Date.parse(shown.slice(0, 10)) / dayMs,
				hour: Number(shown.slice(11, 13)),
			};
		};
	}

	/** Minute by minute: a boundary is where the hour of a date that there was has begun for the first time. */
	function slowBoundary({ hour, timeZone }: DailyExpiry, at: number): number {
		const read = wallClock(timeZone);
		const dates = new Set<number>();
		let newest: number | null = null;
		let found = Number.NaN;
		const start = Math.floor(at / minuteMs) * minuteMs - 36 * hourMs;
		for (let minute = start; minute <= at; minute += minuteMs) {
			const wall = read(minute);
			dates.add(wall.date);
			const begun = wall.hour >= hour ? wall.date : wall.date - 1;
			if (newest !== null && begun > newest && dates.has(begun)) found = minute;
			newest = Math.max(newest ?? begun, begun);
		}
		return found;
	}

	/** The next change of the clock there within a year after `at`, to the minute, or `at` if there is none. */
	function nextChange(timeZone: string, at: number): number {
		const read = wallClock(timeZone);
		const offset = (t: number) =>
			Date.parse(`${read(t).shown.replace(" ", "T")}Z`) - t;
		const early = offset(at);
		for (let week = 1; week <= 52; week++) {
			let after = at + week * 7 * dayMs;
			if (offset(after) === early) continue;
			let before = after - 7 * dayMs;
			while (after - before > minuteMs) {
				const middle = Math.floor((before + after) / 2 / minuteMs) * minuteMs;
				if (offset(middle) === early) before = middle;
				else after = middle;
			}
			return after;
		}
		return at;
	}

	const daily = fc.record({
		hour: fc.oneof(
			{ weight: 3, arbitrary: fc.constantFrom(0, 1, 2, 3, 23) },
			fc.integer({ min: 0, max: 23 }),
		),
		timeZone: fc.constantFrom(...Intl.supportedValuesOf("timeZone")),
	});

	/**
	 * On a minute, mostly about a change of the clock. From 1995 on: no clock shows odd seconds then, and none but the date line moves one by
	 * more than 3 hours (Vostok, left and manned again in 1994, did by 7).
	 */
	const moment = fc
		.record({
			daily,
			minute: fc.integer({
				min: Date.UTC(1995, 0) / minuteMs,
				max: Date.UTC(2027, 0) / minuteMs,
			}),
			about: fc.option(fc.integer({ min: -4 * 60, max: 30 * 60 }), { freq: 5 }),
		})
		.map(({ daily, minute, about }) => ({
			daily,
			at:
				about === null
					? minute * minuteMs
					: nextChange(daily.timeZone, minute * minuteMs) + about * minuteMs,
		}));

	test("the boundary is where a slow search finds it", () => {
		fc.assert(
			fc.property(moment, ({ daily, at }) => {
				expect(iso(lastBoundary(daily, at))).toBe(iso(slowBoundary(daily, at)));
			}),
			{ seed, numRuns: 250 },
		);
	});

	test("boundaries follow each other by 20 to 28 hours, and forwards finds those that backwards does", () => {
		fc.assert(
			fc.property(moment, ({ daily, at }) => {
				const backwards = [lastBoundary(daily, at)];
				while (backwards.length < 6)
					backwards.unshift(lastBoundary(daily, (backwards[0] as number) - 1));
				const first = backwards[0] as number;
				const forwards = [first];
				for (let t = first; t <= at; t += 10 * minuteMs) {
					const boundary = lastBoundary(daily, t);
					expect(boundary).toBeLessThanOrEqual(t);
					expect(boundary).toBeGreaterThanOrEqual(forwards.at(-1) as number);
					if (boundary !== forwards.at(-1)) forwards.push(boundary);
				}
				expect(lastBoundary(daily, at)).toBe(backwards.at(-1));
				if (forwards.at(-1) !== backwards.at(-1))
					forwards.push(lastBoundary(daily, at));
				expect(forwards.map(iso)).toEqual(backwards.map(iso));
				for (const [i, boundary] of backwards.entries()) {
					const gap = boundary - (backwards[i - 1] ?? boundary - dayMs);
					expect(gap / hourMs).toBeGreaterThanOrEqual(20);
					expect(gap / hourMs).toBeLessThanOrEqual(28);
				}
			}),
			{ seed, numRuns: 80 },
		);
	});
});

describe("a session that rests", () => {
	const daily = { hour: 4, timeZone: "Europe/Berlin" };
	const turned =
		"it has turned 04:00 in Europe/Berlin since the last message was taken";
	const four = Date.parse("2026-01-15T03:00Z");
	const since = (activeAt: number, takenAt = activeAt) => ({
		activeAt,
		takenAt,
	});

	const cases: [string, ExpiryPolicy, RestingSince, number, string | null][] = [
		["has no policy", {}, since(0), 1e12, null],
		[
			"has no policy of either kind",
			{ idleMs: undefined, daily: undefined },
			since(0),
			1e12,
			null,
		],
		["is idle, but not long enough", { idleMs: 100 }, since(1000), 1099, null],
		[
			"is idle for long enough",
			{ idleMs: 100 },
			since(1000),
			1100,
			"nothing happened for 100 ms",
		],
		[
			"is idle for longer",
			{ idleMs: 5_400_000 },
			since(0),
			9e9,
			"nothing happened for 1 h 30 min",
		],
		[
			"had a run that settled after its message was taken",
			{ idleMs: 100 },
			since(1050, 1000),
			1149,
			null,
		],
		["waits for the hour", { daily }, since(four - 2), four - 1, null],
		["is there at the hour", { daily }, since(four - 1), four, turned],
		["took its message at the hour", { daily }, since(four), four + 1, null],
		[
			"took its message at the hour, a day on",
			{ daily },
			since(four),
			four + dayMs,
			turned,
		],
		[
			"took its message before the hour and settled after it",
			{ daily },
			since(four + 5, four - 5),
			four + 6,
			turned,
		],
		["slept for weeks", { daily }, since(four - 30 * dayMs), four + 1, turned],
		[
			"is idle for long enough before the hour",
			{ idleMs: 100, daily },
			since(four - 200),
			four - 100,
			"nothing happened for 100 ms",
		],
		[
			"meets the hour before it is idle for long enough",
			{ idleMs: 100, daily },
			since(four - 20),
			four + 10,
			turned,
		],
		[
			"lives on a clock that stepped back",
			{ idleMs: 1, daily },
			since(four + dayMs),
			four,
			null,
		],
		[
			"was active later than it is now, though a day has begun",
			{ daily },
			since(four + dayMs, four - 1),
			four,
			null,
		],
		[
			"took a message later than it is now, though it was idle",
			{ idleMs: 100 },
			since(four - 200, four + 1),
			four,
			null,
		],
	];
	test.each(cases)("%s", (_, policy, resting, at, expected) => {
		expect(expiryOf(policy, resting, at)).toBe(expected);
	});

	test.each([
		[1, "1 ms"],
		[90_000, "1 min 30 s"],
		[dayMs, "1 d"],
		[dayMs + hourMs + minuteMs + 1001, "1 d 1 h 1 min 1 s 1 ms"],
	])("says all of the setting: %i is %s", (idleMs, words) => {
		expect(expiryOf({ idleMs }, since(0), idleMs)).toBe(
			`nothing happened for ${words}`,
		);
	});

	test("an hour of one digit and one of two are told as on a clock", () => {
		const told = [0, 23].map((hour) =>
			expiryOf({ daily: { hour, timeZone: "UTC" } }, since(0), 2 * dayMs),
		);
		expect(told).toEqual([
			"it has turned 00:00 in UTC since the last message was taken",
			"it has turned 23:00 in UTC since the last message was taken",
		]);
	});
});
