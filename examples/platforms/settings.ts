/** Owns what a bot is told by its environment: all of it, or none. */

/** The variables by name; "none" where none is set, and null where some are missing, which is said. */
export function envOf<Name extends string>(
	names: readonly Name[],
): Record<Name, string> | "none" | null {
	const missing = names.filter((name) => !process.env[name]);
	if (missing.length === names.length) return "none";
	if (missing.length === 0)
		return Object.fromEntries(
			names.map((name) => [name, process.env[name]]),
		) as Record<Name, string>;
	console.error(
		`${missing.join(" and ")} ${missing.length === 1 ? "is" : "are"} missing; give all of ${names.join(", ")}, or none for a conversation on loopback`,
	);
	process.exitCode = 2;
	return null;
}
