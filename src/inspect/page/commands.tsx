/**
 * Owns the commands on one session: each is asked about first, and carries the expectation of what the page showed when its button was
 * pressed, so that a click on an old page answers "stale".
 */
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import type { SessionRow } from "../../../machines/facts.ts";
import type { Command } from "../protocol.ts";
import type { Console } from "./console.ts";
import { useAtom } from "./hooks.ts";
import { shortId } from "./words.ts";

/** A command that waits for a yes. */
interface Considered {
	/** Each is a question of its own. */
	readonly id: number;
	readonly command: Command;
	readonly doing: string;
	readonly question: string;
}

export function Commands({
	shown,
	row,
}: {
	readonly shown: Console;
	readonly row: SessionRow;
}) {
	const host = useAtom(shown.connection.host);
	const [considered, ask] = useState<Considered | null>(null);
	const consider = (command: Omit<Considered, "id">) =>
		ask({ id: performance.now(), ...command });
	const { sessionKey, generation, activeRun } = row;
	if (host?.readOnly) return <p class="quiet">{host.readOnly}</p>;
	return (
		<div class="commands">
			<button
				type="button"
				onClick={() =>
					consider({
						command: { ask: "reset", sessionKey, expect: { generation } },
						doing: "Reset",
						question: `Begin generation ${generation + 1}? What runs in generation ${generation} is stopped and drained; what waits in line is kept.`,
					})
				}
			>
				Reset
			</button>
			<button
				type="button"
				disabled={activeRun === null}
				onClick={() => {
					if (activeRun === null) return;
					const { runId } = activeRun;
					consider({
						command: {
							ask: "abort",
							sessionKey,
							expect: { generation, runId },
						},
						doing: "Abort",
						question: `Stop run ${shortId(runId)}? What waits in line goes on.`,
					});
				}}
			>
				Abort run
			</button>
			<button
				type="button"
				class="danger"
				onClick={() =>
					consider({
						command: { ask: "delete", sessionKey, expect: { generation } },
						doing: "Delete",
						question:
							"Delete this session? What runs is stopped, what waits in line is dropped. Its archive stays.",
					})
				}
			>
				Delete
			</button>
			{considered && (
				<Question
					key={considered.id}
					considered={considered}
					answer={(isYes) => {
						// Another may have been asked by now.
						ask((now) => (now === considered ? null : now));
						if (isYes) shown.command(considered.command, considered.doing);
					}}
				/>
			)}
		</div>
	);
}

function Question({
	considered: { doing, question },
	answer,
}: {
	readonly considered: Considered;
	readonly answer: (isYes: boolean) => void;
}) {
	const dialog = useRef<HTMLDialogElement>(null);
	useLayoutEffect(() => dialog.current?.showModal(), []);
	return (
		<dialog
			ref={dialog}
			aria-labelledby="question"
			onClose={() => answer(dialog.current?.returnValue === "yes")}
		>
			<p id="question">{question}</p>
			<div class="commands">
				<button type="button" onClick={() => dialog.current?.close("no")}>
					Cancel
				</button>
				<button
					type="button"
					class="danger"
					onClick={() => dialog.current?.close("yes")}
				>
					{doing}
				</button>
			</div>
		</dialog>
	);
}
