/** The console's page in a browser, on a real runtime: what an operator sees, does, and takes away. */
import { readFile } from "node:fs/promises";
import { gzipSync } from "node:zlib";
import axe from "axe-core";
import type { Page, Response } from "playwright-core";
import { createSessionRuntime, type EmbeddedRuntime } from "turnkeeper";
import { createConsole } from "turnkeeper/inspect";
import { memoryStore } from "turnkeeper/memory";
import { describe, expect, onTestFinished, test } from "vitest";
import { openStream } from "../../src/replay/lines.ts";
import { replay } from "../../src/replay/replay.ts";
import { silent } from "../support/host.ts";
import { executablePath, openPage } from "./browser.ts";

const key = "telegram:42";

/** A runtime whose runs end when the test says so, with its console. */
async function start() {
	const ends = new Map<string, (output: string) => void>();
	const runtime = createSessionRuntime<string, string>({
		store: memoryStore(),
		logger: silent,
		graceMs: 60_000,
		execute: (run) => {
			const text = String(run.messages[0]?.input);
			const { promise, resolve, reject } = Promise.withResolvers<string>();
			ends.set(text, resolve);
			run.signal.addEventListener("abort", () => {
				if (!text.includes("stubborn")) reject(run.signal.reason);
			});
			return promise;
		},
	});
	onTestFinished(() => runtime.close({ graceMs: 0 }));
	await runtime.start();
	const shown = await createConsole(runtime, { port: 0, logger: silent });
	onTestFinished(() => shown.close());
	/** Says it, and waits until it runs. */
	const run = async (text: string, sessionKey = key) => {
		const receipt = await runtime.send(sessionKey, text);
		return { ...receipt, end: () => ends.get(text)?.("done") };
	};
	return { runtime, run, url: shown.url };
}

const session = (url: string, sessionKey = key) =>
	`${url}#/session/${encodeURIComponent(sessionKey)}`;

/** The state that is lit in the drawing of the chart. */
const lit = (page: Page) => page.locator(".chart .state.active");

async function shows(page: Page, status: string): Promise<void> {
	await page.locator(".heading .pill", { hasText: status }).waitFor();
}

async function confirm(page: Page, name: string): Promise<void> {
	await page.getByRole("dialog").getByRole("button", { name }).click();
}

async function violations(page: Page) {
	await page.evaluate(axe.source);
	const { violations } = await page.evaluate(() =>
		(globalThis as unknown as { axe: typeof axe }).axe.run(),
	);
	return violations.map(({ id, nodes }) => [
		id,
		...nodes.map(({ html }) => html.slice(0, 200)),
	]);
}

/** A host of its own run, told to stop by a reset, that says late what became of it. */
async function lateError(
	runtime: EmbeddedRuntime<string, string>,
): Promise<void> {
	const run = await runtime.admit(key, { runId: "r1" });
	await run.start();
	const reset = runtime.reset(key, { reason: "/new" });
	await runtime.until(key, (row) => row?.generation === 2);
	await runtime.report({ runId: "r1", phase: "error", error: "hang up" });
	await reset;
}

// Without a chromium on the machine there is nothing to open a page in; CI installs one.
describe.skipIf(executablePath === null)("the page of the console", () => {
	test("shows a reset in mid-run, the late event in the old lane, and a fresh session that stays idle", async () => {
		const { runtime, run, url } = await start();
		const { end } = await run("a stubborn story");
		const { page, said } = await openPage(session(url));
		await shows(page, "running");
		expect(await lit(page).textContent()).toBe("running");
		await page.getByRole("button", { name: "Reset" }).click();
		await confirm(page, "Reset");
		await shows(page, "resetting");
		await page.locator(".lane .band").nth(1).waitFor();
		// The run, told to stop, drains in the lane of its own generation.
		expect(await page.locator(".lane").nth(1).locator(".drain").count()).toBe(
			1,
		);
		end();
		await shows(page, "idle");
		// Its end came too late, and is filed with its own generation.
		await page.locator(".late.verdict-archived .filed").waitFor();
		expect(await lit(page).textContent()).toBe("idle");
		await page.getByText("Last transition: resetting → idle").waitFor();
		expect(await page.locator(".arrow.last").count()).toBe(1);
		await page.getByText("Reset: done.").waitFor();
		// And one that its host drives, which reports too late, twice.
		await (await runtime.admit(key, { runId: "r2" })).start();
		await shows(page, "running");
		const reset = runtime.reset(key, { reason: "/new" });
		await shows(page, "resetting");
		const late = { runId: "r2", phase: "error", error: "hang up" } as const;
		await runtime.report(late);
		await reset;
		await runtime.report(late);
		await shows(page, "idle");
		const verdicts = page.getByRole("region", { name: "Verdicts" }).first();
		await verdicts.getByText("archived").waitFor();
		await verdicts.getByText("duplicate").waitFor();
		// Where they came in is the lane of generation 3, where they were filed that of 2.
		await page.locator(".late circle").nth(2).waitFor();
		const top = (what: string, at: number) =>
			page
				.locator(what)
				.nth(at)
				.evaluate((element) => element.getBoundingClientRect().top);
		const lanes = await Promise.all([0, 1, 2].map((at) => top(".band", at)));
		const [newest = 0, older = 0, oldest = 0] = lanes;
		for (const at of [0, 1]) {
			expect(await top(".late circle", at)).toBeGreaterThan(newest);
			expect(await top(".late circle", at)).toBeLessThan(older);
			expect(await top(".late rect", at)).toBeGreaterThan(older);
			expect(await top(".late rect", at)).toBeLessThan(oldest);
		}
		expect(await lit(page).textContent()).toBe("idle");
		expect(said).toEqual([]);
	});

	test("answers a click on an old page with stale, and nothing comes of it", async () => {
		const { runtime, run, url } = await start();
		await run("hello");
		const old = (await openPage(session(url))).page;
		const other = (await openPage(session(url))).page;
		await shows(old, "running");
		await shows(other, "running");
		// Asked on one page while the other acts.
		await old.getByRole("button", { name: "Delete" }).click();
		await other.getByRole("button", { name: "Reset" }).click();
		await confirm(other, "Reset");
		await other.getByText("Reset: done.").waitFor();
		await shows(old, "idle");
		await confirm(old, "Delete");
		await old.getByText("Delete: stale.").waitFor();
		expect(await runtime.get(key)).toMatchObject({
			generation: 2,
			status: "idle",
		});
	});

	test("stops a run, takes a message out of the line, and deletes, each after a question or by name", async () => {
		const { runtime, run, url } = await start();
		await run("first");
		await run("second");
		const third = await run("third");
		const { page } = await openPage(session(url));
		await page
			.getByRole("button", { name: `Remove message ${third.messageId}` })
			.click();
		await page.getByText(/^Remove .+: done\.$/).waitFor();
		expect(await third.settled).toMatchObject({ outcome: "removed" });
		await page.getByRole("button", { name: "Abort run" }).click();
		await confirm(page, "Cancel");
		expect(await runtime.get(key)).toMatchObject({ status: "running" });
		await page.getByRole("button", { name: "Abort run" }).click();
		await confirm(page, "Abort");
		await page.getByText("Abort: done.").waitFor();
		// The next in line.
		await shows(page, "running");
		await page.getByRole("button", { name: "Delete" }).click();
		await confirm(page, "Delete");
		await page.getByText("This session was deleted.").waitFor();
		expect(await runtime.get(key)).toBeNull();
		await page.getByRole("link", { name: "Sessions" }).click();
		await page.getByText("No session yet.").waitFor();
	});

	test("tells what became of a command only where it was given", async () => {
		const { runtime, run, url } = await start();
		const { end } = await run("a stubborn story");
		await run("hello", "other");
		const { page } = await openPage(session(url));
		await shows(page, "running");
		await page.getByRole("button", { name: "Reset" }).click();
		await confirm(page, "Reset");
		await page.getByText("Reset …").waitFor();
		await page.goto(session(url, "other"));
		await shows(page, "running");
		end();
		await runtime.whenIdle(key);
		// What is told after it has come.
		await runtime.send("other", "waits in line");
		await page.locator(".queue .said").waitFor();
		expect(await page.locator(".told").textContent()).toBe("");
	});

	test("that is loaded anew in mid-run shows what it showed, and goes on", async () => {
		const { run, url } = await start();
		const { end } = await run("hello");
		const { page } = await openPage(session(url));
		await shows(page, "running");
		await page.reload();
		await shows(page, "running");
		end();
		await shows(page, "ended");
		await page.getByText("Last transition: running → ended").waitFor();
	});

	test("comes back by itself when its connection was lost, with what happened meanwhile", async () => {
		const { run, url } = await start();
		const { page } = await openPage("about:blank");
		const cuts: (() => void)[] = [];
		await page.routeWebSocket(/token=/, (socket) => {
			socket.connectToServer();
			cuts.push(() => socket.close());
		});
		await page.goto(session(url));
		await page.getByText("No session of this key is there").waitFor();
		cuts[0]?.();
		await page
			.getByText("the host is away, or has another address now")
			.waitFor();
		await run("hello");
		await shows(page, "running");
		expect(cuts).toHaveLength(2);
	});

	test("that was opened without its token says what would have been right", async () => {
		const { url } = await start();
		const { page } = await openPage(new URL("/", url).href);
		await page.getByText("not let in; open the whole address").waitFor();
	});

	test("shows what is hostile as text", async () => {
		const { runtime, url } = await start();
		const hostile = '<img src=x onerror="document.title=1">';
		await runtime.send(hostile, hostile);
		await runtime.send(hostile, hostile);
		const { page, said } = await openPage(url);
		await page.getByRole("link", { name: hostile }).click();
		await shows(page, "running");
		await page.locator(".queue .said", { hasText: hostile }).waitFor();
		expect(await page.title()).toBe("turnkeeper console");
		expect(said).toEqual([]);
	});

	test("gives away a trace that turnkeeper replay reads, and the lanes as a drawing", async () => {
		const { runtime, url } = await start();
		await lateError(runtime);
		const { page } = await openPage(session(url));
		await shows(page, "idle");
		const save = async (name: string) => {
			const saved = page.waitForEvent("download");
			await page.getByRole("button", { name }).click();
			return (await saved).path().then((path) => readFile(path, "utf8"));
		};
		const trace = await save("Trace (JSONL)");
		const { rows, reports, badLines, contradictions } = await replay(
			openStream([trace]),
			memoryStore(),
		);
		expect({ badLines, contradictions }).toEqual({
			badLines: [],
			contradictions: [],
		});
		expect(reports).toMatchObject({ applied: 1, archived: 1 });
		expect(rows).toMatchObject([{ generation: 2, status: "idle" }]);
		const lanes = await save("Lanes (SVG)");
		const drawn = await openPage(
			`data:image/svg+xml,${encodeURIComponent(lanes)}`,
		);
		await drawn.page.getByText("generation 1").first().waitFor();
		expect(lanes).not.toContain("class=");
	});

	test("is used with keys alone", async () => {
		const { run, url } = await start();
		for (const name of ["a", "b", "c"]) await run(`to ${name}`, `chat:${name}`);
		const { page } = await openPage(url);
		await page.getByRole("link", { name: "chat:c" }).waitFor();
		await page.getByRole("button", { name: "Session" }).focus();
		await page.keyboard.press("Enter");
		await page.getByRole("link", { name: "chat:a" }).focus();
		await page.keyboard.press("End");
		await focused(page, "chat:c");
		await page.keyboard.press("ArrowUp");
		await focused(page, "chat:b");
		await page.keyboard.press("Enter");
		await shows(page, "running");
		await page.getByRole("button", { name: "Abort run" }).focus();
		await page.keyboard.press("Enter");
		await page.getByRole("dialog").waitFor();
		await page.keyboard.press("Escape");
		await page.getByRole("dialog").waitFor({ state: "detached" });
		await page.keyboard.press("Enter");
		await page.getByRole("dialog").waitFor();
		await page.keyboard.press("Tab");
		await page.keyboard.press("Enter");
		await shows(page, "ended");
		// And back, to where it came from.
		await page.getByRole("link", { name: "Sessions" }).focus();
		await page.keyboard.press("Enter");
		await focused(page, "chat:b");
	});

	test("finds sessions by text and by status", async () => {
		const { run, url } = await start();
		await run("hello", "telegram:1");
		const { end } = await run("ends", "telegram:2");
		await run("hello", "discord:1");
		end();
		const { page } = await openPage(url);
		await page.getByRole("link", { name: "telegram:2" }).waitFor();
		await page.getByRole("searchbox").fill("TELEGRAM");
		await page.getByText("2 of 3 sessions").waitFor();
		await page.getByRole("button", { name: "running 1" }).click();
		await page.getByText("1 of 3 sessions").waitFor();
		await page.getByRole("link", { name: "telegram:1" }).waitFor();
		await page.getByRole("searchbox").fill("nowhere");
		await page.getByText("No session is like that.").waitFor();
	});

	test("holds 100,000 sessions, of which it draws those that are seen", async () => {
		const { runtime, run, url } = await start();
		await runtime.import(
			Array.from({ length: 100_000 }, (_, at) => ({
				sessionKey: `chat:${String(at).padStart(6, "0")}`,
				sessionId: `s${at}`,
				updatedAt: 1000 + at,
			})),
		);
		const { page } = await openPage(url);
		await page.getByText("100,000 sessions", { exact: true }).waitFor();
		await page.getByRole("link", { name: "chat:099999" }).focus();
		await page.keyboard.press("End");
		await focused(page, "chat:000000");
		expect(await page.locator("tbody tr").count()).toBeLessThan(100);
		expect(await page.getByRole("table").getAttribute("aria-rowcount")).toBe(
			"100001",
		);
		// Far down, too, whoever looks at one comes back to it.
		await page.keyboard.press("Enter");
		await shows(page, "idle");
		await page.getByRole("link", { name: "Sessions" }).click();
		await focused(page, "chat:000000");
		// One that changes comes to the top, and the keyboard stays where it is.
		await run("hello", "chat:050000");
		await page.getByRole("button", { name: "running 1" }).waitFor();
		await focused(page, "chat:000000");
		await page.getByRole("searchbox").fill("chat:05000");
		await page.getByText("10 of 100,000 sessions").waitFor();
		const [first] = await page.locator("tbody a").allTextContents();
		expect(first).toBe("chat:050000");
	}, 60_000);

	test("needs less than 300 kB on the wire, compressed, and nothing from elsewhere", async () => {
		const { url } = await start();
		const { page } = await openPage("about:blank");
		const responses: Response[] = [];
		page.on("response", (response) => responses.push(response));
		await page.goto(url, { waitUntil: "networkidle" });
		expect(responses.length).toBeGreaterThanOrEqual(3);
		expect(
			new Set(responses.map((response) => new URL(response.url()).host)),
		).toEqual(new Set([new URL(url).host]));
		const bodies = await Promise.all(
			responses.map((response) => response.body()),
		);
		const bytes = bodies.reduce((sum, body) => sum + gzipSync(body).length, 0);
		expect(bytes).toBeGreaterThan(10_000);
		expect(bytes).toBeLessThan(300_000);
	});

	test.each(["light", "dark"] as const)(
		"has nothing that axe finds fault with, wide or narrow, in the %s",
		async (colorScheme) => {
			const { runtime, run, url } = await start();
			await lateError(runtime);
			await run("hello");
			await run("waits in line");
			await run("hello", "discord:1");
			const { page } = await openPage(url);
			await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
			await page.getByRole("link", { name: key }).waitFor();
			for (const width of [1280, 360]) {
				await page.setViewportSize({ width, height: 800 });
				await page.goto(url);
				await page.getByRole("link", { name: key }).waitFor();
				expect(await violations(page)).toEqual([]);
				await page.goto(session(url));
				await shows(page, "running");
				expect(await violations(page)).toEqual([]);
				// Nothing but the drawings is wider than the page.
				const wide = await page
					.locator("html")
					.evaluate(({ scrollWidth }) => scrollWidth);
				expect(wide).toBe(width);
				await page.getByRole("button", { name: "Reset" }).click();
				expect(await violations(page)).toEqual([]);
				await confirm(page, "Cancel");
			}
		},
	);
});

function focused(page: Page, name: string): Promise<void> {
	return page.locator("a:focus", { hasText: name }).waitFor();
}
