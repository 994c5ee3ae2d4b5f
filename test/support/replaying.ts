/** Owns whether a suite is being replayed (`npm run test:replayed`): then no session's actor stays in memory between two turns. */
export const isReplayed = Boolean(process.env.REPLAYED);
