/** Owns the mutations of the session chart: what its guards, actions, transitions and targets could be and are not. */
import ts from "typescript";
import {
	distinct,
	dropped,
	type Mutation,
	nodesOf,
	replaced,
	type Source,
	sourceOf,
} from "./mutation.ts";

/** For each target the state that it is most easily confused with. */
const confused: Readonly<Record<string, string>> = {
	idle: "ended",
	running: "waiting",
	waiting: "running",
	aborting: "running",
	ended: "failed",
	failed: "ended",
	resetting: "idle",
};

const chart = sourceOf("machines/session.ts");
const guards = sourceOf("machines/guards.ts");

export function chartMutations(): Mutation[] {
	const source = chart;
	const mutations: Mutation[] = [];
	const setup = setupOf(source);
	for (const [name, guard] of tableOf(guards, "guards")) {
		for (const always of ["true", "false"])
			mutations.push(
				replaced(
					guards,
					"guard",
					`${name} always ${always}`,
					guard,
					`() => ${always}`,
				),
			);
	}
	for (const node of nodesOf(source.tree)) {
		if (isWithin(node, setup)) continue;
		if (ts.isObjectLiteralExpression(node) && isCandidate(node))
			mutations.push(...candidateMutations(source, node));
		const list = sharedActionsOf(node);
		if (list) mutations.push(...actionMutations(source, list.name, list.array));
	}
	return distinct(mutations);
}

function setupOf(source: Source): ts.ObjectLiteralExpression {
	for (const node of nodesOf(source.tree)) {
		if (!ts.isCallExpression(node) || node.expression.getText() !== "setup")
			continue;
		const [config] = node.arguments;
		if (config && ts.isObjectLiteralExpression(config)) return config;
	}
	throw new Error(`${source.file} has no call of setup({ … })`);
}

/** The entries of `const name = { key: expression, … } satisfies …`. */
function tableOf(
	source: Source,
	name: string,
): (readonly [string, ts.Expression])[] {
	for (const node of nodesOf(source.tree)) {
		if (!ts.isVariableDeclaration(node) || node.name.getText() !== name)
			continue;
		const table =
			node.initializer && ts.isSatisfiesExpression(node.initializer)
				? node.initializer.expression
				: node.initializer;
		if (!table || !ts.isObjectLiteralExpression(table)) continue;
		return table.properties.map((property) => {
			if (!ts.isPropertyAssignment(property))
				throw new Error(
					`${name}.${property.getText()} is not of the form name: expression`,
				);
			return [property.name.getText(), property.initializer] as const;
		});
	}
	throw new Error(`${source.file} has no table of ${name}`);
}

function* candidateMutations(
	source: Source,
	candidate: ts.ObjectLiteralExpression,
): Generator<Mutation> {
	const at = pathOf(candidate);
	const guard = propertyOf(candidate, "guard");
	if (guard) yield dropped(source, "guard", `unasked at ${at}`, guard);
	const actions = propertyOf(candidate, "actions");
	if (actions) {
		const { initializer } = actions;
		if (ts.isArrayLiteralExpression(initializer))
			yield* actionMutations(source, at, initializer);
		else
			yield dropped(
				source,
				"action",
				`${at} without ${initializer.getText()}`,
				actions,
			);
	}
	const target = propertyOf(candidate, "target");
	if (target && ts.isStringLiteral(target.initializer)) {
		const { text } = target.initializer;
		const state = text.replace(".", "");
		const other = confused[state];
		if (!other) throw new Error(`no state is known that ${state} is not`);
		yield replaced(
			source,
			"target",
			`${at} to ${other}, not ${state}`,
			target.initializer,
			JSON.stringify(text.replace(state, other)),
		);
		yield dropped(source, "target", `${at} without ${state}`, target);
	}
	const owner = candidate.parent;
	yield dropped(
		source,
		"transition",
		at,
		ts.isArrayLiteralExpression(owner) ? candidate : owner,
	);
}

function* actionMutations(
	source: Source,
	at: string,
	actions: ts.ArrayLiteralExpression,
): Generator<Mutation> {
	for (const action of actions.elements)
		yield dropped(
			source,
			"action",
			`${at} without ${action.getText()}`,
			action,
		);
}

/** A list of actions that several candidates share: `const name = [ask.one, "two"] as const`. */
function sharedActionsOf(node: ts.Node) {
	if (!ts.isVariableDeclaration(node) || !node.initializer) return null;
	const array = ts.isAsExpression(node.initializer)
		? node.initializer.expression
		: node.initializer;
	if (!ts.isArrayLiteralExpression(array)) return null;
	if (array.elements.some(ts.isObjectLiteralExpression)) return null;
	return { name: node.name.getText(), array };
}

function isCandidate(node: ts.ObjectLiteralExpression): boolean {
	return (["guard", "actions", "target"] as const).some((name) =>
		propertyOf(node, name),
	);
}

function isWithin(node: ts.Node, outer: ts.Node): boolean {
	return node.pos >= outer.pos && node.end <= outer.end;
}

function propertyOf(
	node: ts.ObjectLiteralExpression,
	name: string,
): ts.PropertyAssignment | undefined {
	return node.properties
		.filter(ts.isPropertyAssignment)
		.find((property) => property.name.getText() === name);
}

function initializerOf(node: ts.ObjectLiteralExpression, name: string) {
	return propertyOf(node, name)?.initializer;
}

/** Where a candidate stands: `free.on.message[mayBegin]`, and by its target or `else` what has no guard. */
function pathOf(candidate: ts.ObjectLiteralExpression): string {
	const names: string[] = [];
	for (let node: ts.Node = candidate.parent; node; node = node.parent) {
		if (ts.isPropertyAssignment(node)) names.unshift(node.name.getText());
		if (ts.isVariableDeclaration(node)) {
			const name = node.name.getText();
			if (name !== "sessionMachine") names.unshift(name);
			break;
		}
	}
	const guard = initializerOf(candidate, "guard");
	const label = guard && ts.isStringLiteral(guard) ? guard.text : "else";
	return `${names.join(".")}[${label}]`;
}
