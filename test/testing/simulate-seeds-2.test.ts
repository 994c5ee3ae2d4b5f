/** Half of the seeds that are played each time. One of them alone: SEED=1001 npx vitest run test/testing/simulate-seeds-2.test.ts */
import { playSeeds } from "./seeds.ts";

playSeeds({ first: 1001, count: 1000 });
