/** Half of the seeds that are played each time. One of them alone: SEED=1 npx vitest run test/testing/simulate-seeds-1.test.ts */
import { playSeeds } from "./seeds.ts";

playSeeds({ first: 1, count: 1000 });
