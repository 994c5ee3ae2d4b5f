/** Owns the picture of the session statechart, drawn from the machine itself. */
import { sessionMachine } from "./session.ts";

type Node = typeof sessionMachine.root;

/**
 * The session statechart as a Mermaid state diagram.
 *
 * @example console.log(sessionMermaid()); // stateDiagram-v2 …
 */
export function sessionMermaid(): string {
	const lines = ["stateDiagram-v2"];
	draw(sessionMachine.root as Node, lines, "  ");
	return lines.join("\n");
}

function nameOf(node: Node): string {
	return node.path.length === 0 ? "any" : node.path.join("_");
}

function draw(node: Node, lines: string[], indent: string): void {
	const children = Object.values(node.states) as unknown as Node[];
	const initial = node.initial?.target[0];
	if (initial) lines.push(`${indent}[*] --> ${nameOf(initial as Node)}`);
	for (const child of children) {
		const name = nameOf(child);
		if (Object.keys(child.states).length === 0) {
			lines.push(`${indent}state "${child.key}" as ${name}`);
			continue;
		}
		lines.push(`${indent}state "${child.key}" as ${name} {`);
		draw(child, lines, `${indent}  `);
		lines.push(`${indent}}`);
	}
	for (const child of children) arrows(child, lines, indent);
	if (node.path.length === 0) {
		// What every state answers stands once, from a state called any.
		const own: string[] = [];
		arrows(node, own, indent);
		if (own.length > 0) lines.push(`${indent}state "any state" as any`, ...own);
	}
}

/** One arrow for all that leads from one state to another. */
function arrows(node: Node, lines: string[], indent: string): void {
	const labels = new Map<string, string[]>();
	const add = (eventType: string, transition: unknown) => {
		const { guard, target } = transition as {
			guard?: string;
			target?: readonly Node[];
		};
		const to = target?.[0];
		if (!to) return;
		const label = `${eventType}${guard ? ` [${guard}]` : ""}`.trim();
		const name = nameOf(to);
		labels.set(name, [...(labels.get(name) ?? []), label]);
	};
	for (const [eventType, transitions] of node.transitions)
		for (const transition of transitions) add(eventType, transition);
	for (const transition of node.always ?? []) add("", transition);
	for (const [target, label] of labels)
		lines.push(`${indent}${nameOf(node)} --> ${target} : ${label.join(", ")}`);
}
