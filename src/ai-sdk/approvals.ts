/** Owns what a step leaves to a person: which of its calls wait for one, and what an answer means. */
import type { StepResult, ToolSet } from "ai";
import type { JsonValue } from "../../machines/json.ts";
import type { Call } from "./calls.ts";
import type { Approval } from "./settings.ts";

export interface Asked {
	readonly approvalId: string;
	readonly toolCall: Call;
}

/** The calls that are to be approved before the next step; null if this was the last one. */
export function goesOn({
	content,
}: StepResult<ToolSet>): readonly Asked[] | null {
	const parts = content as readonly {
		readonly type: string;
		readonly providerExecuted?: boolean;
		readonly approvalId?: string;
		readonly approved?: boolean;
		readonly toolCall?: Call;
	}[];
	const own = (...types: readonly string[]) =>
		parts.filter(
			({ type, providerExecuted }) => types.includes(type) && !providerExecuted,
		);
	const responses = own("tool-approval-response");
	const asked = own("tool-approval-request").filter(
		({ approvalId }) => !responses.some((one) => one.approvalId === approvalId),
	);
	const denied = responses.filter(({ approved }) => approved === false);
	const outputs = own("tool-result", "tool-error");
	const calls = own("tool-call").length;
	// A call of a tool that the host did not give an `execute` is the host's to answer.
	return calls > 0 && calls === outputs.length + denied.length + asked.length
		? (asked as readonly Asked[])
		: null;
}

/** What is neither yes nor no is no. */
export function approvalIn(answer: JsonValue): {
	approved: boolean;
	reason?: string;
} {
	if (typeof answer === "boolean") return { approved: answer };
	const { approved, reason } = (answer ?? {}) as Partial<
		Exclude<Approval, boolean>
	>;
	return {
		approved: approved === true,
		...(typeof reason === "string" ? { reason } : {}),
	};
}
