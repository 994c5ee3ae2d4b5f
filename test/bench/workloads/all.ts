/** Owns the list of the workloads, in the order in which they are played. */
import type { Workload } from "../workload.ts";
import { million } from "./million.ts";
import { turns } from "./turns.ts";

export const workloads: readonly Workload[] = [turns, million];
