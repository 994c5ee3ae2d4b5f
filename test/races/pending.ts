/** Owns the rows of the catalogue that wait for a part of the runtime that is still being built, each with the name of that part. */
export const pending: Readonly<Record<string, string>> = {};
