/** A span for each run: when it begins and ends, what it links to, and what is told in it. */
import { context, SpanKind, SpanStatusCode, trace } from "@opentelemetry/api";
import type { LifecycleReport } from "turnkeeper";
import { memoryStore } from "turnkeeper/memory";
import { describe, expect, test } from "vitest";
import { CrashingStore } from "../../src/testing/crashing-store.ts";
import { turns } from "../../src/testing/virtual-clock.ts";
import { now, wrong } from "../support/scripted-host.ts";
import { collector, pointsOf } from "./collector.ts";
import { startObserved, untilStopped } from "./observed-host.ts";

const run = "run {sessionKey}";
const send = "send {sessionKey}";

/** What the links of a span lead to, by kind. */
function linksOf(span: ReturnType<ReturnType<typeof collector>["span"]>) {
	return span.links.map(
		({ context, attributes }) =>
			`${attributes?.["turnkeeper.link.kind"]} ${Number.parseInt(context.spanId, 16)}`,
	);
}

const idOf = (span: { spanContext(): { spanId: string } }) =>
	Number.parseInt(span.spanContext().spanId, 16);

describe("the span of a run", () => {
	test("links to the span in which its message was sent, also of one without an id of its own", async () => {
		const { runtime, scripted, collected } = await startObserved();
		const first = await runtime.send("k", 1);
		const second = await runtime.send("k", 2);
		scripted.last.end();
		await first.settled;
		scripted.last.end();
		await second.settled;
		const [sent1, sent2] = collected.spans.filter(({ name }) => name === send);
		const runs = collected.spans.filter(({ name }) => name === run);
		expect(runs.map((one) => one.kind)).toEqual([
			SpanKind.CONSUMER,
			SpanKind.CONSUMER,
		]);
		expect(runs.map((one) => linksOf(one).at(-1))).toEqual([
			`message ${sent1 && idOf(sent1)}`,
			`message ${sent2 && idOf(sent2)}`,
		]);
	});

	test("links to its message also where that was queued and taken before its sender was answered", async () => {
		const { runtime, scripted, collected } = await startObserved();
		const first = await runtime.send("k", 1);
		const sending = runtime.send("k", 2);
		scripted.last.end();
		const second = await sending;
		await first.settled;
		await turns();
		scripted.last.end();
		await second.settled;
		const [, last] = collected.spans.filter(({ name }) => name === run);
		expect(last && linksOf(last)).toHaveLength(2);
	});

	test("links to every message that it took, and says how many", async () => {
		const { runtime, scripted, collected } = await startObserved({
			overlap: "collect",
		});
		const { settled } = await runtime.send("k", 1);
		await runtime.send("k", 2);
		const last = await runtime.send("k", 3);
		scripted.last.end();
		await settled;
		scripted.last.end();
		await last.settled;
		const [, both] = collected.spans.filter(({ name }) => name === run);
		expect(both?.attributes).toMatchObject({
			"messaging.batch.message_count": 2,
		});
		expect(both?.attributes).not.toHaveProperty("messaging.message.id");
		expect(both?.links).toHaveLength(3);
	});

	test("links to a message that steered it", async () => {
		const { runtime, scripted, collected } = await startObserved({
			overlap: "steer",
		});
		const { settled } = await runtime.send("k", 1);
		expect((await runtime.send("k", 2)).disposition).toBe("steered");
		const { run: live, end } = scripted.last;
		const taken = await live.steering[Symbol.asyncIterator]().next();
		expect(taken.value).toMatchObject({ input: 2 });
		end();
		await settled;
		expect(collected.span(run).links).toHaveLength(3);
	});

	test("links to the run that spawned it", async () => {
		const { runtime, scripted, collected } = await startObserved();
		const { settled } = await runtime.send("parent", 1);
		const parent = scripted.last;
		await parent.run.spawn("child", 2);
		const child = scripted.last;
		child.end();
		await turns();
		parent.end();
		await settled;
		const [ofChild, ofParent] = collected.spans.filter(
			({ name }) => name === run,
		);
		expect(ofChild && linksOf(ofChild)).toContain(
			`parent ${ofParent && idOf(ofParent)}`,
		);
	});

	test("of a run that the host drives links to the span in which it was admitted", async () => {
		const { runtime, collected } = await startObserved();
		const span = collected.tracer.startSpan("request");
		const admitted = await context.with(
			trace.setSpan(context.active(), span),
			() => runtime.admit("k"),
		);
		await admitted.end();
		expect(collected.span(run).kind).toBe(SpanKind.INTERNAL);
		expect(linksOf(collected.span(run))).toContain(`caller ${idOf(span)}`);
	});

	test("says when it waits for an answer and when it goes on, and the session id that it moved on to", async () => {
		const { runtime, scripted, collected, clock } = await startObserved();
		const start = clock.now();
		const { settled, ticket } = await runtime.send("k", 1);
		const { run: live, end } = scripted.last;
		const answer = live.waitFor("may I?");
		await clock.advance(1000);
		await runtime.resume(ticket ?? wrong(null), "may I?", true);
		await answer;
		await live.rotate({ sessionId: "compacted" });
		end();
		await settled;
		const { events, attributes } = collected.span(run);
		expect(
			events.map(({ name, time, attributes }) => [
				name,
				time[0] * 1000 + time[1] / 1e6 - start,
				attributes,
			]),
		).toEqual([
			["turnkeeper.run.waiting", 0, { "turnkeeper.run.waits": ["may I?"] }],
			["turnkeeper.run.resumed", 1000, {}],
		]);
		expect(attributes["gen_ai.conversation.id"]).toBe("compacted");
	});

	test("is an error with the error's text where the run failed, and none where it was told to stop and did", async () => {
		const { runtime, scripted, collected } = await startObserved();
		const failing = await runtime.send("k", 1);
		scripted.last.fail(new Error("out of tokens"));
		await failing.settled;
		expect(collected.span(run).status).toEqual({
			code: SpanStatusCode.ERROR,
			message: "out of tokens",
		});
		const stopping = await runtime.send("k", 2);
		const aborted = runtime.abort("k");
		await turns();
		scripted.last.end();
		await aborted;
		await stopping.settled;
		expect(collected.spans.at(-1)?.status).toEqual({
			code: SpanStatusCode.UNSET,
		});
	});

	test("is made for a run that came and went in one commit", async () => {
		const { runtime, collected } = await startObserved();
		await runtime.admit("k", { runId: "R", reserve: true });
		await runtime.report({ runId: "R", phase: "end" });
		expect(collected.span(run).attributes).toMatchObject({
			"turnkeeper.run.id": "R",
			"turnkeeper.run.outcome": "completed",
		});
		const metrics = await collected.metrics();
		expect(pointsOf(metrics, "turnkeeper.run.ended")).toHaveLength(1);
		expect(pointsOf(metrics, "turnkeeper.run.duration")).toEqual([]);
	});

	test("is told once, whatever comes to its record later", async () => {
		const { runtime, scripted, collected } = await startObserved();
		const { settled } = await runtime.send("k", 1);
		const { run: live, end } = scripted.last;
		end();
		await settled;
		live.usage({ inputTokens: 5 });
		await turns();
		expect((await runtime.runs("k")).items[0]?.inputTokens).toBe(5);
		expect(collected.spans.filter(({ name }) => name === run)).toHaveLength(1);
		expect(pointsOf(await collected.metrics(), "turnkeeper.run.ended")).toEqual(
			['1 turnkeeper.run.outcome="completed"'],
		);
	});

	test("is that of each session by itself, also where a run id is used in both", async () => {
		const { runtime, collected } = await startObserved();
		const a = await runtime.admit("a", { runId: "R" });
		const b = await runtime.admit("b", { runId: "R" });
		await a.end();
		await runtime.report({ ...a.ticket, phase: "end" });
		await runtime.report({ ...b.ticket, attempt: 9, phase: "end" });
		await b.end();
		const spans = collected.spans.map(({ name, attributes, events }) => [
			name,
			attributes["messaging.destination.name"],
			events.length,
		]);
		expect(spans.filter(([name]) => name !== "generation")).toEqual([
			[run, "a", 0],
			["report", "a", 0],
			["report", "b", 0],
			[run, "b", 0],
		]);
	});
});

describe("what runs in the span of a run", () => {
	test("is what its executor does, also after it has waited", async () => {
		const { runtime, collected } = await startObserved({
			execute: async () => {
				await turns(1);
				collected.tracer.startSpan("chat").end();
			},
			collected: collector(),
		});
		await (await runtime.send("k", 1)).settled;
		expect(collected.span("chat").parentSpanContext?.spanId).toBe(
			collected.span(run).spanContext().spanId,
		);
	});

	test("is what the host does within it, until it is over", async () => {
		const { runtime, telemetry, collected } = await startObserved();
		const admitted = await runtime.admit("k");
		const within = () =>
			telemetry.within(admitted, () => trace.getSpan(context.active()));
		expect(within()?.spanContext().spanId).toBeDefined();
		await admitted.end();
		expect(collected.span(run).ended).toBe(true);
		expect(within()).toBeUndefined();
	});

	test("a send in it is a child of it", async () => {
		const host = await startObserved({
			execute: async ({ ticket }) => {
				if (ticket.sessionKey === "a") await host.runtime.send("b", 2);
			},
		});
		await (await host.runtime.send("a", 1)).settled;
		await host.runtime.whenIdle();
		const [ofA] = host.collected.spans.filter(({ name }) => name === run);
		const child = host.collected.spans.find(
			({ name, parentSpanContext }) => name === send && parentSpanContext,
		);
		const parent = host.collected.spans.find(
			({ attributes, name }) =>
				name === run && attributes["messaging.destination.name"] === "a",
		);
		expect(ofA).toBeDefined();
		expect(child?.parentSpanContext?.spanId).toBe(parent?.spanContext().spanId);
	});
});

describe("a report that was not applied", () => {
	test("is an event of its run while that drains", async () => {
		const { runtime, collected } = await startObserved();
		await runtime.admit("k", { runId: "R" });
		const reset = runtime.reset("k");
		await turns();
		await runtime.report({ runId: "R", phase: "progress", value: 1 });
		await runtime.report({ runId: "R", phase: "end" });
		await reset;
		expect(
			collected
				.span(run)
				.events.map(
					({ name, attributes }) =>
						attributes?.["turnkeeper.report.verdict"] ?? name,
				),
		).toEqual(["refused", "archived", "turnkeeper.run.stopped"]);
	});

	test("that is malformed has a span too, and harms nobody", async () => {
		const { runtime, collected } = await startObserved();
		for (const report of [
			null,
			7,
			{},
			{ runId: 1 },
			{ runId: "R", phase: "secret" },
		])
			await runtime.report(report as LifecycleReport);
		const spans = collected.spans.filter(({ name }) => name === "report");
		expect(
			spans.map(({ attributes }) => attributes["turnkeeper.report.phase"]),
		).toEqual(["_OTHER", "_OTHER", "_OTHER", "_OTHER", "_OTHER"]);
	});
});

test("of the runs that ended the newest 1000 are remembered", async () => {
	const { runtime, collected } = await startObserved({ execute: () => {} });
	const tickets = [];
	for (let i = 0; i <= 1000; i++) {
		const { ticket, settled } = await runtime.send(`session ${i % 50}`, i);
		tickets.push(ticket ?? wrong(null));
		await settled;
	}
	for (const ticket of [tickets[0], tickets[1]])
		await runtime.report({ ...(ticket ?? wrong(null)), phase: "end" });
	expect(
		collected.spans
			.filter(({ name }) => name === "report")
			.map(({ parentSpanContext }) => parentSpanContext !== undefined),
	).toEqual([false, true]);
});

describe("a generation", () => {
	test("has a span when it begins, also that which a delete left behind, linked to the one before", async () => {
		const { runtime, scripted, collected } = await startObserved();
		const first = await runtime.send("k", 1);
		scripted.last.end();
		await first.settled;
		await runtime.delete("k", { reason: "forget me" });
		const second = await runtime.send("k", 2);
		scripted.last.end();
		await second.settled;
		const spans = collected.spans.filter(({ name }) => name === "generation");
		expect(spans.map(({ attributes }) => attributes)).toMatchObject([
			{ "turnkeeper.generation.number": 1 },
			{
				"turnkeeper.generation.number": 2,
				"turnkeeper.generation.cause": "delete",
				"turnkeeper.generation.reason": "forget me",
			},
		]);
		const [one, two] = spans;
		expect(two && linksOf(two)).toEqual([`previous ${one && idOf(one)}`]);
		expect(
			collected.spans.filter(({ name }) => name === run).map(linksOf),
		).toMatchObject([
			[`generation ${one && idOf(one)}`, {}],
			[`generation ${two && idOf(two)}`, {}],
		]);
	});

	test("that nobody ran in has none", async () => {
		const { runtime, collected } = await startObserved();
		await runtime.patch("k", { a: 1 }).catch(() => {});
		await runtime.reset("k");
		expect(collected.spans).toEqual([]);
		await runtime.reset("k");
		expect(collected.spans.map(({ name }) => name)).toEqual(["generation"]);
	});
});

describe("after a restart", () => {
	test("a run of the process that died has its span from the next, from when it began, and counts as interrupted", async () => {
		const store = new CrashingStore(memoryStore());
		const dead = await startObserved({ store, execute: untilStopped });
		const start = dead.clock.now();
		await dead.clock.advance(100);
		await dead.runtime.send("k", 1, { messageId: "m1" });
		await dead.runtime.send("k", 2, { messageId: "m2" });
		await store.crash();
		const { clock } = dead;
		await clock.advance(60_000);
		const next = await startObserved({ store, clock });
		await now(next.runtime.until("k", (row) => row?.status === "running"));
		next.scripted.last.end();
		await next.runtime.whenIdle();
		const [dying, living] = next.collected.spans.filter(
			({ name }) => name === run,
		);
		expect(dying?.attributes).toMatchObject({
			"messaging.message.id": "m1",
			"turnkeeper.run.outcome": "interrupted",
			"error.type": "interrupted",
		});
		const ms = ([s, ns]: [number, number]) => s * 1000 + ns / 1e6 - start;
		expect(dying && [ms(dying.startTime), ms(dying.endTime)]).toEqual([
			100, 60_100,
		]);
		expect(living?.attributes).toMatchObject({
			"messaging.message.id": "m2",
			"turnkeeper.run.outcome": "completed",
		});
		const metrics = await next.collected.metrics();
		expect(pointsOf(metrics, "turnkeeper.run.duration")).toEqual([
			'1 of 0 turnkeeper.run.outcome="completed"',
		]);
		// What it waited while nobody was there counts.
		expect(pointsOf(metrics, "turnkeeper.message.wait_time")).toEqual([
			"1 of 60",
		]);
	});

	test("a run that is tried again has a span for each attempt, and its message waited once", async () => {
		const store = new CrashingStore(memoryStore());
		const recovery = { mode: "retry", maxAttempts: 2 } as const;
		const dead = await startObserved({
			store,
			recovery,
			execute: untilStopped,
		});
		await dead.runtime.send("k", 1);
		await store.crash();
		const next = await startObserved({ store, recovery, clock: dead.clock });
		await turns();
		next.scripted.last.end();
		await next.runtime.whenIdle();
		expect(
			next.collected.spans
				.filter(({ name }) => name === run)
				.map(({ attributes }) => [
					attributes["turnkeeper.run.attempt"],
					attributes["turnkeeper.run.outcome"],
				]),
		).toEqual([
			[1, "interrupted"],
			[2, "completed"],
		]);
		const metrics = await next.collected.metrics();
		expect(pointsOf(metrics, "turnkeeper.message.wait_time")).toEqual([]);
	});
});
