/** Owns the list of error codes, as the union in the source has them: a type has no values to go through. */
import { readFileSync } from "node:fs";
import type { ErrorCode } from "../../src/errors.ts";

const source = readFileSync(
	new URL("../../src/errors.ts", import.meta.url),
	"utf8",
);
const [, union = ""] = /export type ErrorCode =([^;]*);/.exec(source) ?? [];

export const errorCodes = [...union.matchAll(/"([A-Z_]+)"/g)].map(
	([, code]) => code as ErrorCode,
);
if (errorCodes.length === 0)
	throw new Error("src/errors.ts has no union ErrorCode with its codes");
