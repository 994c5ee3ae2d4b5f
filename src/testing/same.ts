/** Owns the comparison of what is with what should be: as a store would give it back, so that what JSON leaves out makes no difference. */
import { deepStrictEqual } from "node:assert/strict";

/** @throws AssertionError that says of what it is, and what differs. */
export function same(actual: unknown, expected: unknown, what: string): void {
	try {
		deepStrictEqual(asStored(actual), asStored(expected));
	} catch (error) {
		throw Object.assign(error as Error, {
			message: `${what} is not what the machine said\n${(error as Error).message}`,
		});
	}
}

function asStored(value: unknown): unknown {
	return value === undefined ? undefined : JSON.parse(JSON.stringify(value));
}
