/** Owns the frame of the page: what is looked at, how the connection stands, and which view is below. */
import "./console.css";
import "./table.css";
import "./sessions.css";
import "./session.css";
import "./chart.css";
import "./lanes.css";
import { render } from "preact";
import { Console } from "./console.ts";
import { useAtom } from "./hooks.ts";
import { SessionView } from "./session-view.tsx";
import { SessionsTable } from "./sessions-table.tsx";

const links = {
	connecting: "connecting …",
	open: "live",
	away: "the host is away, or has another address now; trying again",
	refused:
		"not let in; open the whole address that the host printed, with its token",
} as const;

function Page({ shown }: { readonly shown: Console }) {
	const link = useAtom(shown.connection.link);
	const host = useAtom(shown.connection.host);
	const sessionKey = useAtom(shown.sessionKey);
	return (
		<>
			<header class="top">
				<a class="name" href="#/">
					turnkeeper
				</a>
				<span class="host">{host?.name}</span>
				{host?.readOnly && (
					<span class="badge" title={host.readOnly}>
						read-only
					</span>
				)}
				<span class={`link link-${link}`} role="status">
					{links[link]}
				</span>
			</header>
			<main>
				{sessionKey === null ? (
					<SessionsTable sessions={shown.sessions} />
				) : (
					<SessionView key={sessionKey} shown={shown} sessionKey={sessionKey} />
				)}
			</main>
		</>
	);
}

render(
	<Page shown={new Console()} />,
	document.getElementById("page") as Element,
);
