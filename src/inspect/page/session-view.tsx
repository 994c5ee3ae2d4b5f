/** Owns the view of one session: where its chart stands, its generations over time, what was said of it and not applied, its line, its transcript. */
import { useEffect, useRef, useState } from "preact/hooks";
import type { SessionRow } from "../../../machines/facts.ts";
import { ChartView } from "./chart-view.tsx";
import { Commands } from "./commands.tsx";
import type { Console } from "./console.ts";
import { saveLanes, saveTrace } from "./exports.ts";
import { useAtom, useNow } from "./hooks.ts";
import { LanesView } from "./lanes-view.tsx";
import { Queue, Runs, Scrolled, Transcript, Verdicts } from "./records.tsx";
import { Outcome, Status } from "./status.tsx";
import type { WatchedSession } from "./watched.ts";
import { age, count, duration, shortId, when } from "./words.ts";

const fewLanes = 6;

export function SessionView({
	shown,
	sessionKey,
}: {
	readonly shown: Console;
	readonly sessionKey: string;
}) {
	const session = useAtom(shown.watched.session);
	const trouble = useAtom(shown.watched.trouble);
	const told = useAtom(shown.told);
	const title = useRef<HTMLHeadingElement>(null);
	// Whoever came by keyboard goes on from here.
	useEffect(() => title.current?.focus(), []);
	return (
		<article class="session">
			<div class="heading">
				<a class="back" href="#/">
					<span aria-hidden="true">← </span>Sessions
				</a>
				<h1 ref={title} tabIndex={-1}>
					{sessionKey}
				</h1>
				{session?.row && <Status status={session.row.status} />}
			</div>
			<p class="told" role="status">
				{told}
			</p>
			{trouble !== null && <p class="trouble">{trouble}</p>}
			{session ? (
				<Parts shown={shown} session={session} />
			) : (
				trouble === null && <p class="quiet">reading …</p>
			)}
		</article>
	);
}

function Parts({
	shown,
	session,
}: {
	readonly shown: Console;
	readonly session: WatchedSession;
}) {
	const host = useAtom(shown.connection.host);
	const [most, setMost] = useState(fewLanes);
	const [marked, mark] = useState<number | null>(null);
	const { row, generations, transition } = session;
	const lanes = generations.items.length + (row ? 1 : 0);
	const isKnown = row !== null || generations.items.length > 0;
	if (!isKnown)
		return (
			<p class="quiet">
				No session of this key is there: nobody has used it, or it was deleted
				and its history erased. What comes of it appears here.
			</p>
		);
	return (
		<>
			{row ? (
				<>
					<Facts row={row} />
					<Commands shown={shown} row={row} />
				</>
			) : (
				<p class="quiet">
					This session was deleted. Its next message or run opens the next
					generation.
				</p>
			)}
			<div class="pair">
				<section class="card" aria-labelledby="chart-title">
					<h2 id="chart-title">Statechart</h2>
					{host && (
						<Scrolled label="Drawing of the statechart">
							<ChartView
								chart={host.chart}
								state={session.state}
								transition={transition}
							/>
						</Scrolled>
					)}
					<p class="quiet">
						{transition
							? `Last transition: ${transition.from} → ${transition.to}${transition.event ? ` on ${transition.event}` : ""}, ${when(transition.at)}.`
							: "No transition since this page was opened."}
					</p>
				</section>
				<Queue shown={shown} session={session} />
			</div>
			<section class="card" aria-labelledby="lanes-title">
				<div class="card-head">
					<h2 id="lanes-title">Generations</h2>
					<div class="commands">
						<button type="button" onClick={() => saveTrace(session)}>
							Trace (JSONL)
						</button>
						<button type="button" onClick={() => saveLanes(session)}>
							Lanes (SVG)
						</button>
					</div>
				</div>
				<LanesView session={session} most={most} marked={marked} mark={mark} />
				<Legend />
				{lanes > most && (
					<button type="button" onClick={() => setMost(most + 2 * fewLanes)}>
						{`Show ${Math.min(2 * fewLanes, lanes - most)} older generations`}
					</button>
				)}
			</section>
			<Verdicts session={session} marked={marked} mark={mark} />
			<Runs session={session} />
			<Transcript session={session} />
		</>
	);
}

function Facts({ row }: { readonly row: SessionRow }) {
	const now = useNow(1000);
	const { activeRun, startedAt, endedAt } = row;
	const facts: readonly (readonly [
		name: string,
		value: unknown,
		title?: string | undefined,
	])[] = [
		["generation", count(row.generation)],
		["session id", shortId(row.sessionId), row.sessionId],
		[
			"run",
			activeRun ? shortId(activeRun.runId) : "none is live",
			activeRun?.runId,
		],
		["waits for", row.waits.join(", ")],
		["queued", count(row.queued)],
		["draining", row.draining === 0 ? "" : count(row.draining)],
		["tokens", `${count(row.inputTokens)} in · ${count(row.outputTokens)} out`],
		["last outcome", row.lastOutcome && <Outcome outcome={row.lastOutcome} />],
		[
			"took",
			startedAt !== null && endedAt === null
				? `${duration(now - startedAt)} so far`
				: row.runtimeMs !== null && duration(row.runtimeMs),
		],
		["changed", `${age(now - row.updatedAt)} ago`, when(row.updatedAt)],
		["version", count(row.version)],
		["error", row.lastError],
	];
	return (
		<dl class="facts">
			{facts.map(([name, value, title]) =>
				value === null || value === "" || value === false ? null : (
					<div key={name} class={name === "error" ? "broad" : ""}>
						<dt>{name}</dt>
						<dd title={title}>{value as string}</dd>
					</div>
				),
			)}
		</dl>
	);
}

function Legend() {
	return (
		<ul class="legend">
			<li>
				<i class="bar outcome-running" /> run
			</li>
			<li>
				<i class="bar drain" /> drains, told to stop
			</li>
			<li>
				<i class="bar wait" /> waits for an answer
			</li>
			<li>
				<b aria-hidden="true">✕</b> told to stop
			</li>
			<li>
				<i class="dot" /> late event, where it came in
			</li>
			<li>
				<i class="square" /> and where it was filed
			</li>
		</ul>
	);
}
