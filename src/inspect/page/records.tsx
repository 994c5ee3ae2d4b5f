/** Owns the lists of one session: its line, the reports that were not applied, its runs, its transcript. */
import type { ComponentChildren } from "preact";
import type { Newest } from "../protocol.ts";
import type { Console } from "./console.ts";
import { useAtom } from "./hooks.ts";
import { Outcome, VerdictMark } from "./status.tsx";
import type { WatchedSession } from "./watched.ts";
import { clock, count, counted, duration, shortId, when } from "./words.ts";

export function Queue({
	shown,
	session: { sessionKey, queue },
}: {
	readonly shown: Console;
	readonly session: WatchedSession;
}) {
	const host = useAtom(shown.connection.host);
	return (
		<List title="Queue" list={queue} none="Nothing waits.">
			<Scrolled label="Messages in line">
				<ol class="queue">
					{queue.items.map(({ messageId, acceptedAt, generation, input }) => (
						<li key={messageId}>
							<div>
								<span class="said">{input}</span>
								<span class="quiet">
									{`${shortId(messageId)} · accepted ${clock(acceptedAt)} in generation ${generation}`}
								</span>
							</div>
							{host?.readOnly === null && (
								<button
									type="button"
									aria-label={`Remove message ${messageId}`}
									onClick={() =>
										shown.command(
											{ ask: "remove", sessionKey, messageId },
											`Remove ${shortId(messageId)}`,
										)
									}
								>
									Remove
								</button>
							)}
						</li>
					))}
				</ol>
			</Scrolled>
		</List>
	);
}

export function Verdicts({
	session: { refusals },
	marked,
	mark,
}: {
	readonly session: WatchedSession;
	readonly marked: number | null;
	readonly mark: (index: number | null) => void;
}) {
	return (
		<List
			title="Verdicts"
			list={refusals}
			none="Every report was applied."
			about="Reports that did not change the current row, newest first."
		>
			<Scrolled label="Verdicts">
				<table>
					<thead>
						<tr>
							<th scope="col">At</th>
							<th scope="col">Report</th>
							<th scope="col">Verdict</th>
							<th scope="col">Reason</th>
						</tr>
					</thead>
					<tbody>
						{refusals.items.map(({ at, report, verdict, reason }, index) => (
							<tr
								key={refusals.items.length - index}
								class={marked === index ? "marked" : ""}
								onPointerEnter={() => mark(index)}
								onPointerLeave={() => mark(null)}
							>
								<td title={when(at)}>{clock(at)}</td>
								<td>
									{report.phase} of run{" "}
									<code title={String(report.runId)}>
										{shortId(String(report.runId))}
									</code>
								</td>
								<td>
									<VerdictMark verdict={verdict} />
								</td>
								<td class="text">{reason}</td>
							</tr>
						))}
					</tbody>
				</table>
			</Scrolled>
		</List>
	);
}

export function Runs({
	session: { runs },
}: {
	readonly session: WatchedSession;
}) {
	return (
		<List title="Runs" list={runs} none="Nothing has run.">
			<Scrolled label="Runs">
				<table>
					<thead>
						<tr>
							<th scope="col">Run</th>
							<th scope="col" class="number">
								Generation
							</th>
							<th scope="col">Outcome</th>
							<th scope="col">Stopped by</th>
							<th scope="col">Started</th>
							<th scope="col" class="number">
								Took
							</th>
							<th scope="col" class="number">
								Tokens
							</th>
							<th scope="col">Error</th>
						</tr>
					</thead>
					<tbody>
						{runs.items.map((run) => (
							<tr key={`${run.generation} ${run.runId} ${run.attempt}`}>
								<td>
									<code title={run.runId}>{shortId(run.runId)}</code>
									{run.attempt > 1 && (
										<span class="quiet">{` attempt ${run.attempt}`}</span>
									)}
								</td>
								<td class="number">{run.generation}</td>
								<td>
									<Outcome
										outcome={
											run.outcome ?? (run.stoppedBy ? "aborting" : "live")
										}
									/>
								</td>
								<td>{run.stoppedBy}</td>
								<td title={run.startedAt === null ? "" : when(run.startedAt)}>
									{run.startedAt === null ? "" : clock(run.startedAt)}
								</td>
								<td class="number">
									{run.startedAt !== null && run.endedAt !== null
										? duration(run.endedAt - run.startedAt)
										: ""}
								</td>
								<td class="number">
									{count(run.inputTokens + run.outputTokens)}
								</td>
								<td class="text">{run.error}</td>
							</tr>
						))}
					</tbody>
				</table>
			</Scrolled>
		</List>
	);
}

export function Transcript({
	session: { transcript },
}: {
	readonly session: WatchedSession;
}) {
	return (
		<List
			title="Transcript"
			list={transcript}
			none="Nothing was appended."
			about="What runs appended, newest first."
		>
			<Scrolled label="Entries of the transcript">
				<ol class="transcript">
					{transcript.items.map(({ seq, generation, runId, at, entry }) => (
						<li key={seq}>
							<span class="quiet" title={when(at)}>
								{`generation ${generation} · ${shortId(runId)} · ${clock(at)}`}
							</span>
							<span class="said">{entry}</span>
						</li>
					))}
				</ol>
			</Scrolled>
		</List>
	);
}

function List({
	title,
	list: { items, more },
	none,
	about,
	children,
}: {
	readonly title: string;
	readonly list: Newest<unknown>;
	readonly none: string;
	readonly about?: string;
	readonly children: ComponentChildren;
}) {
	const id = `${title.toLowerCase()}-title`;
	return (
		<section class="card" aria-labelledby={id}>
			<h2 id={id}>
				{title}
				{items.length > 0 && (
					<b>{`${count(items.length)}${more ? "+" : ""}`}</b>
				)}
			</h2>
			{items.length === 0 ? (
				<p class="quiet">{none}</p>
			) : (
				<>
					{about && <p class="quiet">{about}</p>}
					{children}
					{more && (
						<p class="quiet">{`Only ${counted(items.length, "of them")} are shown.`}</p>
					)}
				</>
			)}
		</section>
	);
}

export function Scrolled({
	label,
	children,
}: {
	readonly label: string;
	readonly children: ComponentChildren;
}) {
	return (
		// biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by keyboard.
		<section class="scrolled" tabIndex={0} aria-label={label}>
			{children}
		</section>
	);
}
