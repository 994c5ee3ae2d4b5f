/** Owns when Node's own modules are loaded: when they are first needed. To import these two would take longer than all of the package. */

export const nodeCrypto = () => process.getBuiltinModule("node:crypto");
export const nodeUtil = () => process.getBuiltinModule("node:util");
