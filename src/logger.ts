/** Owns what the runtime says to people who keep logs. Never decides anything. */

/** pino's shape. */
export interface Logger {
	debug(o: object, msg?: string): void;
	info(o: object, msg?: string): void;
	warn(o: object, msg?: string): void;
	error(o: object, msg?: string): void;
}

/** A logger that throws costs nobody more than its own line. */
export function guarded(logger: Logger): Logger {
	const guard =
		(level: keyof Logger) =>
		(o: object, msg?: string): void => {
			try {
				logger[level](o, msg);
			} catch {
				// There is nobody left to tell.
			}
		};
	return {
		debug: guard("debug"),
		info: guard("info"),
		warn: guard("warn"),
		error: guard("error"),
	};
}

/** Warnings and errors to the console, nothing else. */
export const consoleLogger: Logger = {
	debug() {},
	info() {},
	warn: (o, msg) => console.warn(`turnkeeper: ${msg ?? ""}`, o),
	error: (o, msg) => console.error(`turnkeeper: ${msg ?? ""}`, o),
};
