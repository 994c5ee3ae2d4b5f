/** Owns how often forced replay has replaced an actor: a suite in which it never did has proven nothing. */
export const replayed = { turns: 0, readings: 0 };
