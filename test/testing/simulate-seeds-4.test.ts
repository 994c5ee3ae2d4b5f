/** A quarter of the seeds that are played each time. One of them alone: SEED=1501 npx vitest run test/testing/simulate-seeds-4.test.ts */
import { playSeeds } from "./seeds.ts";

playSeeds({ first: 1501, count: 500 });
