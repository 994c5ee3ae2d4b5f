/** Owns what two processes are compared by: the trace of each seed, as a hash, on standard output. */
import { createHash } from "node:crypto";
import { simulate } from "turnkeeper/testing";

export const compared = [1, 2, 3, 5, 8, 13];

export async function digests(): Promise<string> {
	const found: string[] = [];
	for (const seed of compared) {
		const { trace } = await simulate({ seed });
		found.push(createHash("sha256").update(trace).digest("hex"));
	}
	return found.join("\n");
}

if (import.meta.filename === process.argv[1])
	process.stdout.write(await digests());
