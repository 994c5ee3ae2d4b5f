/** A quarter of the seeds that are played each time. One of them alone: SEED=501 npx vitest run test/testing/simulate-seeds-2.test.ts */
import { playSeeds } from "./seeds.ts";

playSeeds({ first: 501, count: 500 });
