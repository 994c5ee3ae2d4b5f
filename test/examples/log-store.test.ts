/** The store of `examples/store`, under the suite that its own test asks for. The processes that it starts find the package by its name. */
const ownName = new URL("../support/own-name.ts", import.meta.url).href;
process.env.NODE_OPTIONS = `--import ${ownName}`;

await import("../../examples/store/log-store.test.ts");
