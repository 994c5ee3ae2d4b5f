/**
 * Entry point `turnkeeper/inspect`: looking at a runtime from a browser, on this machine alone unless told otherwise.
 *
 * @module turnkeeper/inspect
 */

export {
	type Console,
	type ConsoleOptions,
	type ConsoleRuntime,
	createConsole,
} from "./inspect/console.ts";
export { withoutContents } from "./inspect/contents.ts";
export {
	createInspectorServer,
	type InspectorServer,
	type InspectorServerOptions,
} from "./inspect/inspector-server.ts";
