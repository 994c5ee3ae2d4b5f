/**
 * A program of one host: aborts a run while its model streams, over the version of the AI SDK that it is given, and says how that ended.
 * Given "bare" it does so without a runtime, with a reason that is no AbortError.
 */
import { createSessionRuntime } from "turnkeeper";
import { memoryStore } from "turnkeeper/memory";
import {
	stall,
	startModelServer,
} from "../../examples/model-server/model-server.ts";
import { heard } from "./heard.ts";
import { sdkOf, type Version } from "./versions.ts";

const [version, way] = process.argv.slice(2);
const { execute, streamText, model } = sdkOf(Number(version) as Version);
const server = await startModelServer({
	answer: () => [{ say: "half an answer" }, stall],
});

if (way === "bare") {
	const controller = new AbortController();
	const { fullStream } = streamText({
		model: model(server.url),
		prompt: "hello",
		abortSignal: controller.signal,
		onError: () => {},
	});
	const { left } = await server.asked(1);
	let text = "";
	for await (const part of fullStream) {
		if (part.type === "text-delta") text += part.text;
		// Once the next part is waited for.
		if (text === "half an answer")
			setImmediate(() => controller.abort(new Error("/new")));
	}
	await left;
} else {
	const runtime = createSessionRuntime<string>({
		store: memoryStore(),
		execute: execute<string>({ model: model(server.url) }),
	});
	await runtime.start();
	const { settled, ticket } = await runtime.send("k", "hello");
	if (!ticket) throw new Error("it did not start");
	await heard(runtime.follow(ticket), (text) => text === "half an answer");
	const { left } = await server.asked(1);
	await runtime.reset("k", { reason: "/new" });
	console.log((await settled).outcome, await left);
	await runtime.close();
}
await server.close();
