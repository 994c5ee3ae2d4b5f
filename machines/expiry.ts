/**
 * Owns when a session that rests has expired, and when a day begins anew where its people live. Pure, as lifecycle.ts: what it keeps is only
 * what it would find again. Never ends a session.
 */

/**
 * When a session that rests is over: as soon as either is due. A policy with neither expires nothing.
 *
 * @example { idleMs: 1_800_000, daily: { hour: 4, timeZone: "Europe/Berlin" } }
 */
export interface ExpiryPolicy {
	/** Expired when nothing was accepted and no run settled for this long. Ms, more than 0. */
	readonly idleMs?: number | undefined;
	/** Expired when this hour of the day has begun there since the last message was taken. */
	readonly daily?: DailyExpiry | undefined;
}

/**
 * An hour at which every day begins anew.
 *
 * @example { hour: 4, timeZone: "Europe/Berlin" }
 */
export interface DailyExpiry {
	/** A whole number, 0 to 23. */
	readonly hour: number;
	/** IANA name. */
	readonly timeZone: string;
}

/** What was done with a session last, in epoch ms. */
export interface RestingSince {
	/** When a message was accepted or a run settled, whichever came later. */
	readonly activeAt: number;
	/** When a message was taken into a run. */
	readonly takenAt: number;
}

/**
 * Why a session has expired at `at` (epoch ms), in words for people, or null if it has not. A clock that stands before what was done already
 * expires nothing.
 *
 * @throws RangeError for a time zone that Intl does not know.
 * @example expiryOf({ idleMs: 1_800_000 }, { activeAt: 0, takenAt: 0 }, 1_800_000) // "nothing happened for 30 min"
 */
export function expiryOf(
	policy: ExpiryPolicy,
	since: RestingSince,
	at: number,
): string | null {
	if (at < since.activeAt || at < since.takenAt) return null;
	const { idleMs, daily } = policy;
	if (idleMs !== undefined && at - since.activeAt >= idleMs)
		return `nothing happened for ${spanOf(idleMs)}`;
	if (daily !== undefined && since.takenAt < lastBoundary(daily, at))
		return `it has turned ${String(daily.hour).padStart(2, "0")}:00 in ${daily.timeZone} since the last message was taken`;
	return null;
}

/**
 * The newest instant (epoch ms), `at` or before, at which a day's hour began. Every date there has exactly one: of an hour that comes twice,
 * the first; of an hour that the clock jumps over, the jump. A date that was itself jumped over has none.
 *
 * @throws RangeError for a time zone that Intl does not know.
 * @example lastBoundary({ hour: 4, timeZone: "UTC" }, Date.UTC(2026, 0, 2, 3)) // Date.UTC(2026, 0, 1, 4)
 */
export function lastBoundary(daily: DailyExpiry, at: number): number {
	const zone = zones.get(daily.timeZone) ?? openZone(daily.timeZone);
	const known = zone.spans[daily.hour];
	if (known && known.from <= at && at < known.until) return known.from;
	const span = spanAround(zone, daily.hour, at);
	zone.spans[daily.hour] = span;
	return span.from;
}

// ── days

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;

/** From one boundary to the next. */
interface Span {
	readonly from: number;
	readonly until: number;
}

function spanAround(zone: Zone, hour: number, at: number): Span {
	let until = Number.POSITIVE_INFINITY;
	// A later date may have begun already: St. John's used to go back from 00:01 to 23:01. Two dates on, none has.
	let date = Math.floor(wallAt(zone, at) / dayMs) + 2;
	for (; ; date--) {
		const from = boundaryOf(zone, hour, date);
		if (from === null) continue;
		if (from <= at) return { from, until };
		until = from;
	}
}

/** When the hour of a date (in days since 1970-01-01) began, or null if there was no such date: 2011-12-30 in Apia. */
function boundaryOf(zone: Zone, hour: number, date: number): number | null {
	const begins = firstAt(zone, date * dayMs);
	const ends = firstAt(zone, (date + 1) * dayMs);
	return begins === ends ? null : firstAt(zone, date * dayMs + hour * hourMs);
}

// ── clocks on the wall, read as if they were UTC

/** The first instant at which the clock there shows `wall` or later. */
function firstAt(zone: Zone, wall: number): number {
	// No clock is a day away from UTC, and since 1900 none was changed twice in a week: at most one change lies between.
	let before = wall - dayMs;
	let after = wall + dayMs;
	const early = offsetAt(zone, before);
	const late = offsetAt(zone, after);
	if (early === late) return wall - late;
	while (after - before > 1) {
		const middle = Math.floor((before + after) / 2);
		if (offsetAt(zone, middle) === early) before = middle;
		else after = middle;
	}
	return wall - early < after ? wall - early : Math.max(after, wall - late);
}

function offsetAt(zone: Zone, at: number): number {
	return wallAt(zone, at) - Math.floor(at / 1000) * 1000;
}

/** To the second. */
function wallAt(zone: Zone, at: number): number {
	const shown = { year: 0, month: 0, day: 0, hour: 0, minute: 0, second: 0 };
	for (const { type, value } of zone.clock.formatToParts(at))
		if (type in shown) shown[type as keyof typeof shown] = Number(value);
	const { year, month, day, hour, minute, second } = shown;
	return Date.UTC(year, month - 1, day, hour, minute, second);
}

// ── what is kept, since it is asked of every message: a clock a zone, and a span an hour

interface Zone {
	readonly clock: Intl.DateTimeFormat;
	/** By hour, the span that was asked for last. */
	readonly spans: (Span | undefined)[];
}

const zones = new Map<string, Zone>();

function openZone(timeZone: string): Zone {
	const clock = new Intl.DateTimeFormat("en-US", {
		timeZone,
		calendar: "gregory",
		numberingSystem: "latn",
		hourCycle: "h23",
		year: "numeric",
		month: "numeric",
		day: "numeric",
		hour: "numeric",
		minute: "numeric",
		second: "numeric",
	});
	const zone: Zone = { clock, spans: [] };
	zones.set(timeZone, zone);
	return zone;
}

// ── words

const units = [
	["d", dayMs],
	["h", hourMs],
	["min", 60_000],
	["s", 1000],
	["ms", 1],
] as const;

/** All of a span: it is somebody's setting, to be known again. */
function spanOf(ms: number): string {
	const words: string[] = [];
	let rest = ms;
	for (const [unit, size] of units) {
		const count = unit === "ms" ? rest : Math.floor(rest / size);
		if (count > 0) words.push(`${count} ${unit}`);
		rest -= count * size;
	}
	return words.join(" ");
}
