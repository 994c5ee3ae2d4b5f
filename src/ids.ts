/** Owns fresh ids. Never reused; those of runs and messages rise with time, which keeps the store's indexes small. */
import { nodeCrypto } from "./builtin.ts";

/** Of this process; made with its first id. */
let suffix = "";
let last = 0;
let prefix = "";
let count = 0;

/**
 * An id that sorts after all that this process made before, whatever the clock does.
 *
 * @example risingId() // "0mhq8v2kx-0000001-9f86d081884c"
 */
export function risingId(): string {
	suffix ||= nodeCrypto().randomBytes(6).toString("hex");
	const now = Date.now();
	if (now > last) {
		last = now;
		prefix = now.toString(36).padStart(9, "0");
	}
	count += 1;
	return `${prefix}-${count.toString(36).padStart(7, "0")}-${suffix}`;
}

export function freshSessionId(): string {
	return nodeCrypto().randomUUID();
}
