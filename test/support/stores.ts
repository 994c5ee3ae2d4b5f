/** Owns fresh stores for tests: each suite runs on memory and on a real SQLite file of its own. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { SessionStore } from "turnkeeper";
import { memoryStore } from "turnkeeper/memory";
import { sqliteStore } from "turnkeeper/sqlite";
import { onTestFinished } from "vitest";

export const storeKinds: readonly [string, () => SessionStore][] = [
	["memory", () => memoryStore()],
	["sqlite", () => sqliteStore(temporaryFile())],
];

/** A path in a folder that goes when the test ends. */
export function temporaryFile(name = "sessions.db"): string {
	const folder = mkdtempSync(join(tmpdir(), "turnkeeper-test-"));
	onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
	return join(folder, name);
}
