/** Owns the rows of the catalogue of which nothing is left here, each with the reason in one sentence. */
export const notApplicable: Readonly<Record<string, string>> = {};
