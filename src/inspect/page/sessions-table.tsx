/** Owns the table of all sessions: only the rows that are seen are drawn, however many there are. */
import {
	elementScroll,
	observeElementOffset,
	observeElementRect,
	Virtualizer,
} from "@tanstack/virtual-core";
import type { RefObject } from "preact";
import { useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import type { SessionLine } from "../protocol.ts";
import { hrefOf } from "./console.ts";
import { useAtom, useNow } from "./hooks.ts";
import { type Column, type Sessions, statuses } from "./sessions.ts";
import { Status } from "./status.tsx";
import { age, count, shortId, when } from "./words.ts";

const rowHeight = 38;
const pageRows = 15;

const columns: readonly {
	readonly name: string;
	readonly by: Column | null;
	readonly kind: string;
}[] = [
	{ name: "Session", by: "sessionKey", kind: "key" },
	{ name: "Status", by: "status", kind: "status" },
	{ name: "Generation", by: "generation", kind: "number wide" },
	{ name: "Run", by: null, kind: "run wide" },
	{ name: "Queue", by: "queued", kind: "number" },
	{ name: "Tokens", by: "tokens", kind: "number wide" },
	{ name: "Changed", by: "updatedAt", kind: "number" },
];

export function SessionsTable({ sessions }: { readonly sessions: Sessions }) {
	const asked = useAtom(sessions.asked);
	const { lines, counts, total, complete } = useAtom(sessions.shown);
	const now = useNow(1000);
	const found = statuses.reduce((sum, status) => sum + counts[status], 0);
	return (
		<section class="sessions" aria-labelledby="sessions-title">
			<div class="tools">
				<h1 id="sessions-title">Sessions</h1>
				<label class="search">
					<span class="hidden">Search</span>
					<input
						type="search"
						placeholder="Session key, session id or run"
						value={asked.search}
						onInput={({ currentTarget }) =>
							sessions.asked.set({ ...asked, search: currentTarget.value })
						}
					/>
				</label>
				<fieldset class="filters">
					<legend class="hidden">Status</legend>
					{[null, ...statuses].map((status) => (
						<button
							key={status}
							type="button"
							class={status === null ? "" : `status-${status}`}
							aria-pressed={asked.status === status}
							onClick={() => sessions.asked.set({ ...asked, status })}
						>
							{`${status ?? "all"} `}
							<b>{count(status === null ? found : counts[status])}</b>
						</button>
					))}
				</fieldset>
			</div>
			<Rows sessions={sessions} lines={lines} now={now} />
			<p class="count" role="status">
				{!complete
					? `reading … ${count(total)} so far`
					: lines.length === 0
						? total === 0
							? "No session yet. One appears here with its first message."
							: "No session is like that."
						: lines.length === total
							? `${count(total)} sessions`
							: `${count(lines.length)} of ${count(total)} sessions`}
			</p>
		</section>
	);
}

function Rows({
	sessions,
	lines,
	now,
}: {
	readonly sessions: Sessions;
	readonly lines: readonly SessionLine[];
	readonly now: number;
}) {
	const asked = useAtom(sessions.asked);
	const frame = useRef<HTMLDivElement>(null);
	const rows = useVirtual(frame, lines.length);
	/** The one row that the keyboard reaches; it follows its session. */
	const chosen = useAtom(sessions.chosen);
	const choose = (sessionKey: string) => sessions.chosen.set(sessionKey);
	const at = Math.max(
		0,
		lines.findIndex(({ sessionKey }) => sessionKey === chosen),
	);
	const items = rows.getVirtualItems();
	const first = items[0];
	const last = items.at(-1);
	const go = (to: number) => {
		const next = Math.min(Math.max(to, 0), lines.length - 1);
		const line = lines[next];
		if (!line) return;
		choose(line.sessionKey);
		rows.scrollToIndex(next);
		// It may have to be drawn first.
		requestAnimationFrame(() =>
			requestAnimationFrame(() =>
				frame.current
					?.querySelector<HTMLElement>(`[aria-rowindex="${next + 2}"] a`)
					?.focus(),
			),
		);
	};
	// Whoever comes back from a session finds it.
	useLayoutEffect(() => {
		if (chosen !== null && lines[at]?.sessionKey === chosen) go(at);
	}, []);
	const steps: Readonly<Record<string, number>> = {
		ArrowDown: at + 1,
		ArrowUp: at - 1,
		PageDown: at + pageRows,
		PageUp: at - pageRows,
		Home: 0,
		End: lines.length - 1,
	};
	const sortBy = (by: Column) =>
		sessions.asked.set({
			...asked,
			by,
			descending: asked.by === by ? !asked.descending : by !== "sessionKey",
		});
	return (
		<div class="frame" ref={frame}>
			<table
				aria-rowcount={lines.length + 1}
				aria-labelledby="sessions-title"
				onKeyDown={(event) => {
					const step = steps[event.key];
					if (
						step === undefined ||
						!(event.target instanceof HTMLAnchorElement)
					)
						return;
					event.preventDefault();
					go(step);
				}}
			>
				<thead>
					<tr aria-rowindex={1}>
						{columns.map(({ name, by, kind }) => (
							<th
								key={name}
								scope="col"
								class={kind}
								{...(by !== null && by === asked.by
									? {
											"aria-sort": asked.descending
												? "descending"
												: "ascending",
										}
									: {})}
							>
								{by === null ? (
									name
								) : (
									<button type="button" onClick={() => sortBy(by)}>
										{name}
									</button>
								)}
							</th>
						))}
					</tr>
				</thead>
				<tbody>
					<Space height={first?.start ?? 0} />
					{items.map(({ index }) => {
						const line = lines[index];
						return line ? (
							<Row
								key={line.sessionKey}
								line={line}
								index={index}
								now={now}
								isChosen={index === at}
								choose={choose}
							/>
						) : null;
					})}
					<Space height={last ? rows.getTotalSize() - last.end : 0} />
				</tbody>
			</table>
		</div>
	);
}

function Row({
	line,
	index,
	now,
	isChosen,
	choose,
}: {
	readonly line: SessionLine;
	readonly index: number;
	readonly now: number;
	readonly isChosen: boolean;
	readonly choose: (sessionKey: string) => void;
}) {
	const { sessionKey, status, generation, runId, queued, draining } = line;
	return (
		<tr class="line" aria-rowindex={index + 2}>
			<td class="key">
				<a
					href={hrefOf(sessionKey)}
					tabIndex={isChosen ? 0 : -1}
					onFocus={() => choose(sessionKey)}
				>
					{sessionKey}
				</a>
			</td>
			<td class="status">
				<Status status={status} />
			</td>
			<td class="number wide">{count(generation)}</td>
			<td class="run wide" title={runId ?? undefined}>
				{runId === null ? "" : shortId(runId)}
				{draining > 0 && <span class="quiet">{` +${draining} draining`}</span>}
			</td>
			<td class="number">{queued === 0 ? "" : count(queued)}</td>
			<td class="number wide">{line.tokens === 0 ? "" : count(line.tokens)}</td>
			<td class="number" title={when(line.updatedAt)}>
				{age(now - line.updatedAt)}
			</td>
		</tr>
	);
}

/** The rows that are not drawn. */
function Space({ height }: { readonly height: number }) {
	return height > 0 ? (
		// biome-ignore lint/a11y/noAriaHiddenOnFocusable: nothing in it can be focused.
		<tr aria-hidden="true" class="space">
			<td colSpan={columns.length} style={{ height: `${height}px` }} />
		</tr>
	) : null;
}

function useVirtual(
	frame: RefObject<HTMLDivElement | null>,
	rows: number,
): Virtualizer<HTMLDivElement, HTMLTableRowElement> {
	const [, draw] = useState(0);
	const options = {
		count: rows,
		getScrollElement: () => frame.current,
		estimateSize: () => rowHeight,
		overscan: 12,
		scrollPaddingStart: rowHeight,
		observeElementRect,
		observeElementOffset,
		scrollToFn: elementScroll,
		onChange: () => draw((times) => times + 1),
	};
	const virtual = useMemo(
		() => new Virtualizer<HTMLDivElement, HTMLTableRowElement>(options),
		[],
	);
	virtual.setOptions(options);
	useLayoutEffect(() => virtual._didMount(), [virtual]);
	useLayoutEffect(() => virtual._willUpdate());
	return virtual;
}
