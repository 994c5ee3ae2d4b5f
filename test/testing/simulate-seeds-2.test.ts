/** Half of the seeds that are played each time. One of them alone: SEED=301 npx vitest run test/testing/simulate-seeds-2.test.ts */
import { playSeeds } from "./seeds.ts";

playSeeds({ first: 301, count: 300 });
