/** Owns how it is said that a promise does not hold. */

/** A promise that does not hold. */
export class Broken extends Error {
	/** 1 to 10, as the README counts them; `liveness` where a session cannot come to rest. */
	readonly promise: number | "liveness";

	constructor(promise: number | "liveness", message: string) {
		super(message);
		this.name = "Broken";
		this.promise = promise;
	}
}
