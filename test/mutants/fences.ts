/**
 * Owns the mutations of fences: the places outside of the chart that compare whose, which or how new something is. Found by what a
 * condition speaks of, so that a new fence is met without a mark in the source.
 */
import { globSync } from "node:fs";
import ts from "typescript";
import {
	distinct,
	dropped,
	type Mutation,
	nodesOf,
	replaced,
	root,
	type Source,
	sourceOf,
} from "./mutation.ts";

/** Where fences stand. What reads recorded streams, prints tables or draws charts fences nothing. */
const places = ["machines/*.ts", "src/*.ts", "src/sqlite/*.ts"];
/** The chart has mutations of its own; arguments and options are checked, not fenced. */
const elsewhere = new Set([
	"machines/session.ts",
	"machines/guards.ts",
	"machines/index.ts",
	"machines/mermaid.ts",
	"src/arguments.ts",
	"src/config.ts",
	"src/index.ts",
	"src/testing.ts",
]);

/** What a condition speaks of if it fences: an identity, an expectation, or what was found out of either. */
const identity =
	/ticket|generation|attempt|version|expect|mismatch|doubt|ownsRun|ownsLive|mayAct|grant|holds|hidden|sessionIds|runId|messageId|isOpen|isServing|state [!=]==|isAborted|isReleased|isReserved|\bstop\b|stopped|draining|drains|outcome|purge|owner|epoch|\.run\b.*[!=]==|[!=]== live\b|repeated/i;

/** Calls that refuse by throwing. */
const refusal = /(^|[.#])must[A-Z]\w*$/;

export function fenceMutations(): Mutation[] {
	return globSync(places, { cwd: root })
		.filter((file) => !elsewhere.has(file))
		.sort()
		.flatMap((file) => distinct([...mutationsOf(sourceOf(file))]));
}

function* mutationsOf(source: Source): Generator<Mutation> {
	for (const node of nodesOf(source.tree)) {
		if (isRefusal(node))
			yield dropped(
				source,
				"fence",
				`${placeOf(source, node)}: without ${wordsOf(node)}`,
				node,
			);
		for (const condition of conditionsOf(node)) {
			const words = wordsOf(condition);
			if (!identity.test(words) || words.startsWith("typeof ")) continue;
			for (const always of ["true", "false"]) {
				yield replaced(
					source,
					"fence",
					`${placeOf(source, node)}: ${words} always ${always}`,
					condition,
					always,
				);
			}
		}
	}
}

/** The conditions that a node decides by, each side of && and || for itself. */
function* conditionsOf(node: ts.Node): Generator<ts.Expression> {
	if (ts.isIfStatement(node) || ts.isWhileStatement(node))
		yield* sidesOf(node.expression);
	else if (ts.isConditionalExpression(node)) yield* sidesOf(node.condition);
	else if (ts.isReturnStatement(node) && node.expression)
		yield* answersOf(node.expression);
	else if (ts.isArrowFunction(node) && !ts.isBlock(node.body))
		yield* answersOf(node.body);
}

/** What is given back is a condition if it is one by its looks. */
function* answersOf(answer: ts.Expression): Generator<ts.Expression> {
	const bare = withoutParentheses(answer);
	if (ts.isBinaryExpression(bare) && isBoolean(bare)) yield* sidesOf(bare);
	else if (isNegation(bare)) yield bare;
}

function* sidesOf(condition: ts.Expression): Generator<ts.Expression> {
	const bare = withoutParentheses(condition);
	if (
		ts.isBinaryExpression(bare) &&
		(bare.operatorToken.kind === ts.SyntaxKind.AmpersandAmpersandToken ||
			bare.operatorToken.kind === ts.SyntaxKind.BarBarToken)
	) {
		yield* sidesOf(bare.left);
		yield* sidesOf(bare.right);
	} else yield bare;
}

function isBoolean({ operatorToken, left, right }: ts.BinaryExpression) {
	switch (operatorToken.kind) {
		case ts.SyntaxKind.EqualsEqualsEqualsToken:
		case ts.SyntaxKind.ExclamationEqualsEqualsToken:
		case ts.SyntaxKind.LessThanToken:
		case ts.SyntaxKind.LessThanEqualsToken:
		case ts.SyntaxKind.GreaterThanToken:
		case ts.SyntaxKind.GreaterThanEqualsToken:
			return true;
		case ts.SyntaxKind.AmpersandAmpersandToken:
		case ts.SyntaxKind.BarBarToken: {
			const sides: boolean[] = [left, right].map((side) => {
				const bare = withoutParentheses(side);
				return (
					isNegation(bare) || (ts.isBinaryExpression(bare) && isBoolean(bare))
				);
			});
			return sides.includes(true);
		}
		default:
			return false;
	}
}

function isNegation(node: ts.Expression): boolean {
	return (
		ts.isPrefixUnaryExpression(node) &&
		node.operator === ts.SyntaxKind.ExclamationToken
	);
}

function isRefusal(node: ts.Node): boolean {
	return (
		ts.isExpressionStatement(node) &&
		ts.isCallExpression(node.expression) &&
		refusal.test(node.expression.expression.getText())
	);
}

function withoutParentheses(node: ts.Expression): ts.Expression {
	return ts.isParenthesizedExpression(node)
		? withoutParentheses(node.expression)
		: node;
}

function wordsOf(node: ts.Node): string {
	return node.getText().replace(/\s+/g, " ").replace(/;$/, "");
}

/** The file and the nearest named thing around a node. */
function placeOf(source: Source, node: ts.Node): string {
	const names: string[] = [];
	for (let at: ts.Node = node; at; at = at.parent) {
		const name = nameOf(at);
		if (name) names.unshift(name);
	}
	return [source.file, ...names].join(" ");
}

function nameOf(node: ts.Node): string | null {
	if (
		ts.isFunctionDeclaration(node) ||
		ts.isMethodDeclaration(node) ||
		ts.isGetAccessor(node) ||
		ts.isClassDeclaration(node)
	)
		return node.name?.getText() ?? null;
	if (ts.isConstructorDeclaration(node)) return "constructor";
	if (
		(ts.isPropertyAssignment(node) || ts.isVariableDeclaration(node)) &&
		node.initializer &&
		ts.isArrowFunction(node.initializer)
	)
		return node.name.getText();
	return null;
}
