// Owns how vitest runs a test that stands on a page: as in a folder of a reader's
// own, with the package found by its name.
import { defineConfig } from "vitest/config";
import project from "../../vitest.config.ts";

export default defineConfig({
	resolve: project.resolve ?? {},
	test: { include: ["**/*.test.ts"], pool: "forks" },
});
