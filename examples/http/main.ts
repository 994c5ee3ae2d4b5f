/** Owns the start and the end of the HTTP host: `npm run start:http`, with PORT and DB if they are to be others. */
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { sqliteStore } from "turnkeeper/sqlite";
import { createChatHost } from "../chat/host.ts";
import { openAiModel, scriptedModel } from "../chat/model.ts";
import { serverOf } from "./server.ts";

const { PORT = "3000", DB = "http.db" } = process.env;
const runtime = createChatHost({
	store: sqliteStore(DB),
	model: process.env.OPENAI_BASE_URL
		? openAiModel(process.env)
		: scriptedModel(),
});
await runtime.start();
const server = serverOf(runtime).listen(Number(PORT), "127.0.0.1");
await once(server, "listening");
const { port } = server.address() as AddressInfo;
console.log(`Listening on http://127.0.0.1:${port}
  curl -d '{"text":"tell me a story","messageId":"1"}' http://127.0.0.1:${port}/sessions/ada/messages
  curl -N http://127.0.0.1:${port}/sessions/ada/runs/RUN/events
  curl -X POST http://127.0.0.1:${port}/sessions/ada/reset`);
for (const signal of ["SIGINT", "SIGTERM"] as const)
	process.once(signal, async () => {
		server.close();
		await runtime.close();
		server.closeAllConnections();
	});
