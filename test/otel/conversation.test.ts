/** One conversation, played on a clock and with ids of its own, and all that telemetry says of it: beside the stored picture, conversation.txt. */
import { context, trace } from "@opentelemetry/api";
import { createSessionRuntime, type ManagedRun } from "turnkeeper";
import { memoryStore } from "turnkeeper/memory";
import { createTelemetry } from "turnkeeper/otel";
import { virtualClock } from "turnkeeper/testing";
import { expect, test } from "vitest";
import { Scripted, silent } from "../support/host.ts";
import { codeOf } from "../support/scripted-host.ts";
import { collector, pictureOf } from "./collector.ts";

/** A text whose ids count up as they come. */
function inOrder(text: string, ids: RegExp): string {
	const known = new Map<string, string>();
	return text.replace(ids, (id) => {
		if (!known.has(id)) known.set(id, `run-${known.size + 1}`);
		return known.get(id) as string;
	});
}

const key = "telegram:42";

test("a message, a queue, a reset in mid-run, a failure, a late event, a stop and a close, as spans and metrics", async () => {
	const clock = virtualClock();
	const start = clock.now();
	const collected = collector();
	const { tracer, meter } = collected;
	const telemetry = createTelemetry({ tracer, meter, clock });
	const scripted = new Scripted();
	let [sessions, runs] = [0, 0];
	const execute = (run: ManagedRun<unknown>) => {
		// What a model's client does: its span is in the context that is active.
		tracer.startSpan("chat", { startTime: clock.now() }).end(clock.now());
		return scripted.execute(run as never);
	};
	const runtime = telemetry.runtime(
		createSessionRuntime({
			store: telemetry.store(memoryStore()),
			execute: telemetry.executor(execute),
			logger: silent,
			clock,
			ids: {
				sessionId: () => `session-${++sessions}`,
				runId: () => `run-${++runs}`,
			},
		}),
	);
	await runtime.start();
	/** As a webhook calls it: in a span of its own. */
	const update = <T>(n: number, act: () => Promise<T>): Promise<T> => {
		const span = tracer.startSpan(`POST /update ${n}`, {
			root: true,
			startTime: clock.now(),
		});
		return context
			.with(trace.setSpan(context.active(), span), act)
			.finally(() => span.end(clock.now()));
	};
	const send = (n: number) =>
		runtime.send(key, `message ${n}`, { messageId: `m${n}` });

	// A message, and one that waits for it.
	const first = await update(1, () => send(1));
	await clock.advance(500);
	const second = await update(2, () => send(2));
	await update(3, () => send(2));
	expect(await codeOf(runtime.send(key, "now", { overlap: "reject" }))).toBe(
		"SESSION_BUSY",
	);
	await clock.advance(700);
	scripted.last.run.usage({ inputTokens: 900, outputTokens: 120 });
	scripted.last.end();
	await first.settled;

	// A reset in the middle of the second run, which takes a while to stop.
	await clock.advance(300);
	const reset = runtime.reset(key, { reason: "/new" });
	await clock.advance(250);
	await runtime.report({
		...scripted.last.run.ticket,
		phase: "error",
		error: "socket hang up",
	});
	scripted.last.fail(scripted.last.run.signal.reason);
	await reset;
	await second.settled;

	// A failure.
	const third = await update(4, () => send(4));
	await clock.advance(100);
	scripted.last.fail(new Error("the model is overloaded"));
	await third.settled;

	// A run that the host drives and that ends too late, and a report of nobody's.
	const admitted = await update(5, () =>
		runtime.admit(key, { runId: "host-1" }),
	);
	telemetry.within(admitted, () =>
		tracer.startSpan("agent", { startTime: clock.now() }).end(clock.now()),
	);
	await admitted.start();
	await clock.advance(40);
	const again = runtime.reset(key);
	await clock.advance(20);
	await runtime.report({ runId: "host-1", phase: "error", error: "too late" });
	await again;
	await runtime.report({ runId: "host-1", phase: "end" });
	await runtime.report({ runId: "nobody", phase: "start" });

	// A stop, and a close in the middle of a run.
	await send(6);
	await clock.advance(10);
	const stopped = runtime.abort(key, { reason: "/stop" });
	await clock.advance(5);
	scripted.last.end();
	await stopped;
	await send(7);
	await clock.advance(10);
	const gauges = await collected.metrics();
	const resident = gauges.find(
		({ descriptor }) => descriptor.name === "turnkeeper.session.resident",
	);
	expect(resident?.dataPoints.map(({ value }) => value)).toEqual([1]);
	const closed = runtime.close({ graceMs: 100 });
	await clock.advance(1200);
	await closed;

	// Ids are drawn that no run gets, and how many commits there are is the engine's affair.
	const picture = inOrder(await pictureOf(collected, start), /run-\d+/g);
	await expect(picture).toMatchFileSnapshot("conversation.txt");
});
