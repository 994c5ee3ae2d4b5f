/** Owns the list of all checks of a store, in the order in which they are told. */
import { agreement } from "./agreement.ts";
import type { CheckGroup } from "./check.ts";
import { kills } from "./kills.ts";
import { owners } from "./owners.ts";
import { pages } from "./pages.ts";
import { processes } from "./processes.ts";
import { prunedGenerations } from "./pruned-generations.ts";
import { prunedMessages } from "./pruned-messages.ts";
import { prunedRefusals } from "./pruned-refusals.ts";
import { purges } from "./purges.ts";
import { readers } from "./readers.ts";
import { rewrites } from "./rewrites.ts";
import { steps } from "./steps.ts";
import { transcripts } from "./transcripts.ts";
import { unreadable } from "./unreadable.ts";
import { values } from "./values.ts";
import { versions } from "./versions.ts";

export const storeChecks: readonly CheckGroup[] = [
	values,
	rewrites,
	versions,
	pages,
	transcripts,
	purges,
	steps,
	prunedMessages,
	prunedGenerations,
	prunedRefusals,
	agreement,
	owners,
	readers,
	processes,
	kills,
	unreadable,
];
