/** Owns what the runtime says to people who keep logs. Never decides anything. */

/** pino's shape. */
export interface Logger {
	debug(o: object, msg?: string): void;
	info(o: object, msg?: string): void;
	warn(o: object, msg?: string): void;
	error(o: object, msg?: string): void;
}

/** Warnings and errors to the console, nothing else. */
export const consoleLogger: Logger = {
	debug() {},
	info() {},
	warn: (o, msg) => console.warn(`turnkeeper: ${msg ?? ""}`, o),
	error: (o, msg) => console.error(`turnkeeper: ${msg ?? ""}`, o),
};
