/** What is said of SQLite stores in this folder, said once more of those on a thread. */
import { vi } from "vitest";

vi.mock(import("turnkeeper/sqlite"), async (original) => {
	const { sqliteStore } = await original();
	return {
		sqliteStore: (path, options) =>
			sqliteStore(path, { ...options, thread: true }),
	};
});

await import("./file.test.ts");
await import("./links.test.ts");
await import("./ownership.test.ts");
await import("./refusals.test.ts");
await import("./version-1.test.ts");
