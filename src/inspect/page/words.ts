/** Owns how times, ids and counts are told to a person. */
import { timeFormat } from "d3-time-format";

const units = [
	["d", 86_400_000],
	["h", 3_600_000],
	["min", 60_000],
	["s", 1000],
] as const;

/** @example duration(93_000) // "1 min 33 s" */
export function duration(ms: number): string {
	if (ms < 1000) return `${Math.max(0, Math.round(ms))} ms`;
	if (ms < 10_000) return `${(ms / 1000).toFixed(1)} s`;
	const at = units.findIndex(([, size]) => ms >= size);
	const [unit, size] = units[at] ?? units[3];
	const whole = Math.floor(ms / size);
	const [smaller, part] = units[at + 1] ?? [null, 0];
	const rest = smaller ? Math.floor((ms - whole * size) / part) : 0;
	return rest > 0 ? `${whole} ${unit} ${rest} ${smaller}` : `${whole} ${unit}`;
}

/** @example age(3000) // "3 s" */
export function age(ms: number): string {
	const [unit, size] = units.find(([, one]) => ms >= one) ?? units[3];
	return `${Math.max(0, Math.floor(ms / size))} ${unit}`;
}

const day = timeFormat("%Y-%m-%d %H:%M:%S");
const time = timeFormat("%H:%M:%S.%L");

/** Date and time, in the reader's time zone. */
export function when(at: number): string {
	return day(new Date(at));
}

/** The time of the day, to the millisecond. */
export function clock(at: number): string {
	return time(new Date(at));
}

/** An id as people compare them: without the random part that makes it unique in the world. */
export function shortId(id: string): string {
	if (/^[0-9a-f]{8}-[0-9a-f]{4}-/.test(id)) return id.slice(0, 8);
	const short = id.replace(/-[0-9a-f]{12}$/, "");
	return short.length > 28 ? `${short.slice(0, 27)}…` : short;
}

const number = new Intl.NumberFormat("en");

/** @example count(1234) // "1,234" */
export function count(value: number): string {
	return number.format(value);
}

/** @example counted(1, "run") // "1 run" */
export function counted(value: number, thing: string): string {
	return `${count(value)} ${thing}${value === 1 ? "" : "s"}`;
}
