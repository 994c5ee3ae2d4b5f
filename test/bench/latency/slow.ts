/** Owns how long an fsync takes on the slow disk that `slow-fsync.ts` makes of any. To import this makes none. */
export const slowFsyncMs = 5;
