/** What is said of SQLite files, of who owns one and of what is refused, said once more of stores on a thread. */
import { vi } from "vitest";

vi.mock(import("turnkeeper/sqlite"), async (original) => {
	const { sqliteStore } = await original();
	return {
		sqliteStore: (path, options) =>
			sqliteStore(path, { ...options, thread: true }),
	};
});

await import("./file.test.ts");
await import("./ownership.test.ts");
await import("./refusals.test.ts");
await import("./version-1.test.ts");
