/** Owns what only all sessions together can tell: rows by key, and where a run is. Read from Restate's own tables, through its admin API. */
import type { SessionRow } from "../../machines/facts.ts";
import { isBusy, rowOf } from "../../machines/facts.ts";
import { invalid } from "../arguments.ts";
import { errorText, TurnkeeperError } from "../errors.ts";
import { limitOf, pageOf } from "../page.ts";
import type { ListQuery, Page } from "../store.ts";
import { type KeptSession, keptName } from "./kept.ts";
import { sessionsService } from "./protocol.ts";

/** Rows looked at in one query. */
const chunk = 500;

interface Listed {
	readonly key: string;
	readonly facts: KeptSession["facts"];
}

export class Admin {
	readonly #url: string | null;
	readonly #timeoutMs: number;

	constructor(url: string | null, timeoutMs: number) {
		this.#url = url;
		this.#timeoutMs = timeoutMs;
	}

	/** Rows by key, in the order of code points. The cursor is the last key. */
	async list<Meta>(query: ListQuery): Promise<Page<SessionRow<Meta>>> {
		const limit = limitOf(query);
		const { prefix = "", status, updatedSince = 0 } = query;
		const statuses = status === undefined ? null : [status].flat();
		const found: SessionRow<Meta>[] = [];
		let after = query.cursor ?? null;
		for (;;) {
			const page = await this.#sessions("list", prefix, after);
			for (const { facts } of page) {
				if (!facts || facts.hidden) continue;
				const row = rowOf<Meta>(facts);
				if (statuses && !statuses.includes(row.status)) continue;
				if (row.updatedAt >= updatedSince) found.push(row);
			}
			after = page.at(-1)?.key ?? null;
			if (found.length > limit || page.length < chunk || after === null) break;
		}
		return pageOf(found, limit, ({ sessionKey }) => sessionKey);
	}

	/** Keys of sessions where something runs, drains or waits. */
	async busy(): Promise<readonly string[]> {
		const busy: string[] = [];
		let after: string | null = null;
		for (;;) {
			const page: readonly Listed[] = await this.#sessions(
				"whenIdle",
				"",
				after,
			);
			for (const { facts } of page)
				if (facts && isBusy(facts)) busy.push(facts.sessionKey);
			after = page.at(-1)?.key ?? null;
			if (page.length < chunk || after === null) return busy;
		}
	}

	/** Keys of sessions that have, or had, a run of this id. */
	async keysOf(runId: string): Promise<readonly string[]> {
		const id = encodeURIComponent(runId);
		const rows = await this.#query<{ service_key: string }>(
			"report",
			`SELECT DISTINCT service_key FROM state WHERE service_name = '${sessionsService}' AND (key LIKE ${text(`run/%/${liked(id)}/%`)} ESCAPE '\\' OR (key = '${keptName}' AND value_utf8 LIKE ${text(`%${liked(JSON.stringify(runId))}%`)} ESCAPE '\\')) ORDER BY service_key LIMIT 4`,
		);
		return rows.map(({ service_key }) => service_key);
	}

	async #sessions(
		call: string,
		prefix: string,
		after: string | null,
	): Promise<readonly Listed[]> {
		const rows = await this.#query<{
			service_key: string;
			value_utf8: string;
		}>(
			call,
			`SELECT service_key, value_utf8 FROM state WHERE service_name = '${sessionsService}' AND key = '${keptName}'${
				prefix === "" ? "" : ` AND starts_with(service_key, ${text(prefix)})`
			}${after === null ? "" : ` AND service_key > ${text(after)}`} ORDER BY service_key LIMIT ${chunk}`,
		);
		return rows.map(({ service_key, value_utf8 }) => ({
			key: service_key,
			facts: (JSON.parse(value_utf8) as KeptSession).facts,
		}));
	}

	async #query<Row>(call: string, query: string): Promise<readonly Row[]> {
		if (this.#url === null)
			throw invalid(
				`${call} over all sessions needs the admin API of Restate; give connectSessions its URL as \`admin\``,
			);
		const failed = (why: string, cause?: unknown) =>
			new TurnkeeperError(
				"ENGINE_FAILED",
				`${call}: the admin API of Restate at ${this.#url} ${why}; it must be the URL of the admin API of a server that runs`,
				{ cause },
			);
		try {
			const response = await fetch(new URL("query", `${this.#url}/`), {
				method: "POST",
				headers: {
					accept: "application/json",
					"content-type": "application/json",
				},
				body: JSON.stringify({ query }),
				signal: AbortSignal.timeout(this.#timeoutMs),
			});
			if (!response.ok)
				throw failed(`answered ${response.status}: ${await response.text()}`);
			return ((await response.json()) as { rows: Row[] }).rows;
		} catch (error) {
			if (error instanceof TurnkeeperError) throw error;
			throw failed(`cannot be reached (${errorText(error)})`, error);
		}
	}
}

/** A text in SQL. */
function text(value: string): string {
	return `'${value.replaceAll("'", "''")}'`;
}

/** A text that a LIKE matches as it is. */
function liked(value: string): string {
	return value.replaceAll(/[\\%_]/g, "\\$&");
}
