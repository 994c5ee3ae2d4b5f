/** Seeds that broke a promise once, played again each time: what they found is also told by tests of its own where it could be made small. */
import { simulate } from "turnkeeper/testing";
import { test } from "vitest";

test.each([
	677, 1450, 1762, 1841, 1908, 2275, 2317, 2694, 3529, 4064, 4940, 5095, 5193,
	5236, 5341, 7525, 7610, 7720, 8261, 8565, 9842, 11164, 11702, 12894, 13536,
	14595, 39909, 14399, 14510, 15311, 28277, 29013, 50859, 61414, 71675, 86739,
	90633, 91723, 98519, 99968,
])("every promise is kept by seed %i", async (seed) => {
	await simulate({ seed });
});
