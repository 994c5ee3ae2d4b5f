/** Owns what the process itself would say: Node's remarks on its own features, readers that leave, errors that nobody caught. */
import { complainOf } from "./output.ts";

/** Called once, before anything else of the command line is loaded. */
export function guardProcess(): void {
	const say = process.emitWarning;
	process.emitWarning = ((warning: string | Error, ...rest: unknown[]) => {
		if (!isExperimental(warning, rest[0]))
			say.call(process, warning, ...(rest as []));
	}) as typeof process.emitWarning;
	process.stdout.on("error", (error: NodeJS.ErrnoException) => {
		// Whoever read has read enough.
		if (error.code === "EPIPE") process.exit(0);
		throw error;
	});
	process.on("uncaughtException", (error) => {
		complainOf(error);
		process.exit(1);
	});
}

function isExperimental(warning: string | Error, type: unknown): boolean {
	const name =
		warning instanceof Error
			? warning.name
			: typeof type === "object" && type !== null
				? (type as { type?: unknown }).type
				: type;
	return name === "ExperimentalWarning";
}
