/** The generated paths of a session, on a real Restate server: each that can come to pass there, with all that is kept compared after each step. */
import { sessionPaths } from "turnkeeper/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { reasonNotTo, Stage } from "./path-player.ts";
import { type Server, serveServices, startServer } from "./server.ts";

const { PATHS, ONLY } = process.env;
const atOnce = 6;

let server: Server;
let endpoint: AsyncDisposable;
let stage: Stage;

beforeAll(async () => {
	server = await startServer();
	stage = new Stage(server);
	endpoint = await serveServices(server, stage.services);
}, 60_000);

afterAll(async () => {
	await endpoint?.[Symbol.asyncDispose]();
	await server?.[Symbol.asyncDispose]();
});

test("each generated path that can come to pass on Restate ends where the machine says", async () => {
	const all = await sessionPaths();
	const played = all.filter(
		(path) => reasonNotTo(path) === null && (!ONLY || path.name === ONLY),
	);
	// A share of them every time; PATHS=all plays each.
	const chosen = PATHS || ONLY ? played : played.filter((_, i) => i % 6 === 0);
	const left = [...chosen.entries()];
	const failures: string[] = [];
	await Promise.all(
		Array.from({ length: atOnce }, async () => {
			for (let next = left.shift(); next; next = left.shift()) {
				const [i, path] = next;
				await stage
					.play(path, `path-${i}`)
					.catch((error) => failures.push(error.message));
			}
		}),
	);
	expect(failures).toEqual([]);
	expect(chosen.length).toBeGreaterThan(ONLY ? 0 : 30);
}, 600_000);
