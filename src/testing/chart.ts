/**
 * Owns the transitions of the session chart by name, read from the machine itself: one entry a state, an event and a candidate, those of the
 * root as each state reaches them. Never says whether one can be taken.
 */
import { sessionMachine } from "../../machines/session.ts";

/** One candidate of one event in one state. */
export interface ChartTransition {
	/** `running: message → aborting [interruptsLive]`: state, event, the target if it has one, the guard if it has one. */
	readonly name: string;
	readonly state: string;
	/** `always` where no event is waited for. */
	readonly event: string;
	/** Its place among the candidates that the state itself, or the root, has for the event. */
	readonly index: number;
	/** `root` for one that every state inherits. */
	readonly of: "state" | "root";
	readonly guard: string | null;
	/** The state that it leads to; null if it stays. */
	readonly target: string | null;
}

/** As XState holds it. */
interface Definition {
	readonly guard?: unknown;
	readonly target?: readonly { readonly key: string }[] | undefined;
}

interface Node {
	readonly transitions: ReadonlyMap<string, readonly Definition[]>;
	readonly always?: readonly Definition[] | undefined;
}

/** By state: XState's own entry of a candidate, and what it is called here. */
type ByState = ReadonlyMap<string, ReadonlyMap<Definition, ChartTransition>>;

function read(): ByState {
	const root = sessionMachine.root as unknown as Node & {
		readonly states: Readonly<Record<string, Node>>;
	};
	const names = new Set<string>();
	const entries = (state: string, node: Node, of: ChartTransition["of"]) => {
		const events: [string, readonly Definition[]][] = [
			...(node.always ? ([["always", node.always]] as const) : []),
			...node.transitions,
		].map(([event, candidates]) => [event, candidates]);
		return events.flatMap(([event, candidates]) =>
			candidates.map((definition, index) => {
				const guard =
					definition.guard === undefined ? null : String(definition.guard);
				const target = definition.target?.[0]?.key ?? null;
				const plain = `${state}: ${event}${target === null ? "" : ` → ${target}`}${guard === null ? "" : ` [${guard}]`}`;
				const name = names.has(plain) ? `${plain} #${index + 1}` : plain;
				names.add(name);
				const entry = { name, state, event, index, of, guard, target };
				return [definition, entry] as const;
			}),
		);
	};
	return new Map(
		Object.entries(root.states).map(([state, node]) => [
			state,
			new Map([
				...entries(state, node, "state"),
				...entries(state, root, "root"),
			]),
		]),
	);
}

const chart = read();

/**
 * Every transition of the session machine, as the machine defines it now.
 *
 * @example sessionTransitions().map(({ name }) => name) // "idle: always → running [mayTake]", …
 */
export function sessionTransitions(): readonly ChartTransition[] {
	return [...chart.values()].flatMap((entries) => [...entries.values()]);
}

/** What a candidate of XState's is called when it is taken in this state. */
export function nameOf(state: string, definition: object): string {
	const entry = chart.get(state)?.get(definition as Definition);
	if (!entry) throw new Error(`the chart has no such transition in ${state}`);
	return entry.name;
}
