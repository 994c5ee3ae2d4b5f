/** Owns a session machine that is stepped both ways each time, by XState and the short way, and throws where they are not the same. */
import { isDeepStrictEqual } from "node:util";
import { sessionMachine } from "../../machines/session.ts";
import { stepSession } from "../../machines/step.ts";

type Machine = typeof sessionMachine;

/** Wraps `machine`, whose steps must be those of `stepSession`. Whoever steps it is told what XState says. */
export function bothWays(machine: Machine = sessionMachine): Machine {
	const transition: Machine["transition"] = (before, event, scope) => {
		const asked: unknown[] = [];
		const after = machine.transition(before, event, {
			...scope,
			actionExecutor: (action) => {
				asked.push({ type: action.type, params: action.params });
				scope.actionExecutor(action);
			},
		});
		const short: unknown[] = [];
		const { state, facts } = stepSession(
			before.value,
			before.context.facts,
			event,
			(type, params) => short.push({ type, params }),
		);
		const xstate = { state: after.value, facts: after.context.facts, asked };
		if (!isDeepStrictEqual(xstate, { state, facts, asked: short }))
			throw new Error(
				`${event.type} in ${before.value} goes to ${after.value} by XState and to ${state} the short way, or not with the same facts and effects`,
			);
		return after;
	};
	return Object.create(machine, { transition: { value: transition } });
}
