/** Owns that what only the bench needs is installed beside it, in `test/bench/node_modules`, as its lock file says. */
import { spawnSync } from "node:child_process";
import { copyFileSync, existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

const lock = join(import.meta.dirname, "package-lock.json");
/** The lock file that was installed last. */
const installed = join(import.meta.dirname, "node_modules", ".installed.json");

function isUpToDate(): boolean {
	return (
		existsSync(installed) && readFileSync(installed).equals(readFileSync(lock))
	);
}

if (!isUpToDate()) {
	const { status } = spawnSync(
		"npm",
		["ci", "--no-audit", "--no-fund", "--silent"],
		{ cwd: import.meta.dirname, stdio: "inherit" },
	);
	if (status === 0) copyFileSync(lock, installed);
	else {
		console.error(
			"bench: what it needs could not be installed; `npm ci` in test/bench says why",
		);
		process.exitCode = 1;
	}
}
