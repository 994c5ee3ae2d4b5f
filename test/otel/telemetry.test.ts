/** `createTelemetry`: what it takes, that it changes nothing, and that telemetry which breaks harms nobody. */
import {
	context,
	DiagLogLevel,
	diag,
	type Meter,
	type Tracer,
} from "@opentelemetry/api";
import * as conventions from "@opentelemetry/semantic-conventions/incubating";
import { createSessionRuntime } from "turnkeeper";
import { memoryStore } from "turnkeeper/memory";
import { createTelemetry } from "turnkeeper/otel";
import { describe, expect, onTestFinished, test } from "vitest";
import { MessageLinks } from "../../src/otel/message-links.ts";
import { attributes } from "../../src/otel/names.ts";
import { turns } from "../../src/testing/virtual-clock.ts";
import { silent } from "../support/host.ts";
import { startScripted, wrong } from "../support/scripted-host.ts";
import { deathsOf } from "../support/unhandled.ts";
import { collector, pointsOf } from "./collector.ts";
import { startObserved } from "./observed-host.ts";

const run = "run {sessionKey}";

/** What OpenTelemetry is told of itself. */
function diagnosed(): string[] {
	const told: string[] = [];
	const logger = {
		...silent,
		verbose() {},
		error: (text: string) => told.push(text),
	};
	diag.setLogger(logger, {
		logLevel: DiagLogLevel.ALL,
		suppressOverrideMessage: true,
	});
	onTestFinished(() => diag.disable());
	told.length = 0;
	return told;
}

/** A host whose telemetry is this; what its one run comes to. */
async function turnWith(tracer: Tracer, meter: Meter) {
	const telemetry = createTelemetry({ tracer, meter });
	const runtime = telemetry.runtime(
		createSessionRuntime<string, string>({
			store: telemetry.store(memoryStore()),
			execute: telemetry.executor(
				async ({ messages }) => `${messages[0]?.input}!`,
			),
			logger: silent,
		}),
	);
	await runtime.start();
	const { settled } = await runtime.send("k", "hi");
	await runtime.report({ runId: "nobody", phase: "end" });
	await runtime.reset("k");
	const ended = await settled;
	await runtime.close();
	return ended;
}

const completed = { outcome: "completed", output: "hi!" };

describe("telemetry that breaks harms nobody", () => {
	const boom = (): never => {
		throw new Error("no exporter");
	};

	test.each([
		["when a span begins", { onStart: boom }],
		["when a span ends", { onEnd: boom }],
	])("where a processor throws %s", async (_, part) => {
		const told = diagnosed();
		const { tracer, meter, metrics } = collector([
			{
				onStart() {},
				onEnd() {},
				forceFlush: async () => {},
				shutdown: async () => {},
				...part,
			},
		]);
		const dead = await deathsOf(async () => {
			expect(await turnWith(tracer, meter)).toMatchObject(completed);
		});
		expect(dead).toEqual([]);
		expect(told[0]).toContain("no exporter");
		expect(pointsOf(await metrics(), "turnkeeper.run.ended")).toEqual([
			'1 turnkeeper.run.outcome="completed"',
		]);
	});

	test("where the tracer itself throws, and where every instrument does", async () => {
		diagnosed();
		const { meter } = collector();
		const tracer = { startSpan: boom } as unknown as Tracer;
		const instrument = { add: boom, record: boom };
		const dead = await deathsOf(async () => {
			expect(await turnWith(tracer, meter)).toMatchObject(completed);
			expect(
				await turnWith(tracer, {
					createCounter: () => instrument,
					createHistogram: () => instrument,
					createObservableUpDownCounter: boom,
					addBatchObservableCallback: boom,
				} as unknown as Meter),
			).toMatchObject(completed);
		});
		expect(dead).toEqual([]);
	});

	test("where whoever listens to what OpenTelemetry says of itself throws too", async () => {
		diag.setLogger({ ...silent, verbose() {}, error: boom });
		onTestFinished(() => diag.disable());
		const { meter } = collector();
		expect(
			await turnWith({ startSpan: boom } as unknown as Tracer, meter),
		).toMatchObject(completed);
	});
});

describe("telemetry changes nothing", () => {
	test("without an SDK a turn is done as ever", async () => {
		context.disable();
		const telemetry = createTelemetry();
		const runtime = telemetry.runtime(
			createSessionRuntime<string, string>({
				store: telemetry.store(memoryStore()),
				execute: telemetry.executor(({ messages }) => `${messages[0]?.input}!`),
				logger: silent,
			}),
		);
		await runtime.start();
		const { settled } = await runtime.send("k", "hi");
		expect(await settled).toMatchObject(completed);
		await runtime.close();
	});

	test("a runtime that is looked at has all that it had, and what is called on it gets the same answers", async () => {
		const { runtime, scripted } = await startObserved();
		const receipt = await runtime.send("k", 1, { messageId: "m" });
		expect(receipt).toMatchObject({ disposition: "started", messageId: "m" });
		expect((await runtime.queue.list("k")).length).toBe(0);
		expect(runtime.atom("k").get()?.status).toBe("running");
		expect(runtime.stats()).toMatchObject({ running: 1 });
		scripted.last.end("out");
		expect(await receipt.settled).toMatchObject({ output: "out" });
		await expect(runtime.send("", 1)).rejects.toMatchObject({
			code: "INVALID_ARGUMENT",
		});
	});

	test("an executor outside of a runtime that is looked at runs outside of any span", async () => {
		const collected = collector();
		const { tracer, meter } = collected;
		const telemetry = createTelemetry({ tracer, meter });
		const { runtime } = await startScripted(memoryStore(), {
			execute: telemetry.executor(() => "done"),
		});
		const { settled } = await runtime.send("k", 1);
		expect(await settled).toMatchObject({ output: "done" });
		expect(collected.spans).toEqual([]);
	});

	test("stopped in the middle, what is open then ends, and nothing more is told", async () => {
		const { runtime, scripted, telemetry, collected } = await startObserved();
		const { settled } = await runtime.send("k", 1);
		await runtime.send("k", 2);
		telemetry.stop();
		telemetry[Symbol.dispose]();
		expect(collected.span(run).attributes).not.toHaveProperty(
			"turnkeeper.run.outcome",
		);
		const { length } = collected.spans;
		scripted.last.end();
		expect(await settled).toMatchObject({ outcome: "completed" });
		await turns();
		expect(scripted.runs).toHaveLength(2);
		expect(collected.spans).toHaveLength(length);
	});

	test("whoever waits for the start is given what is looked at, and a close called wrongly ends nothing", async () => {
		const collected = collector();
		const { tracer, meter } = collected;
		const telemetry = createTelemetry({ tracer, meter });
		const options = { store: memoryStore(), execute: () => {}, logger: silent };
		const runtime = await telemetry
			.runtime(createSessionRuntime(options))
			.start();
		await expect(runtime.close(wrong({ runs: "now" }))).rejects.toMatchObject({
			code: "INVALID_ARGUMENT",
		});
		const { settled } = await runtime.send("k", 1);
		await settled;
		await runtime.close();
		expect(collected.spans.map(({ name }) => name)).toEqual([
			"generation",
			"send {sessionKey}",
			run,
		]);
	});

	test("with the close of the runtime it ends by itself", async () => {
		const { runtime, clock, collected } = await startObserved();
		await runtime.send("k", 1);
		const closed = runtime.close({ graceMs: 0 });
		await clock.advance(2000);
		await closed;
		expect(collected.span(run).attributes).toMatchObject({
			"turnkeeper.run.stop_cause": "shutdown",
		});
	});
});

test("names of attributes are those of the semantic conventions, or turnkeeper's own", () => {
	const known = new Set<unknown>(Object.values(conventions));
	expect(
		Object.values(attributes).filter(
			(name) => !known.has(name) && !name.startsWith("turnkeeper."),
		),
	).toEqual([]);
	expect(conventions.MESSAGING_OPERATION_TYPE_VALUE_PROCESS).toBe("process");
	expect(conventions.MESSAGING_OPERATION_TYPE_VALUE_SEND).toBe("send");
});

describe("of messages it keeps", () => {
	test("the span of one that waits until it is taken or removed, and of no other", () => {
		const links = new MessageLinks();
		const sent = { traceId: "t", spanId: "s", traceFlags: 1 };
		links.send("k")({ messageId: "waits", sent, isWaiting: true });
		links.send("k")({ messageId: "started", sent, isWaiting: false });
		links.send("k")(null);
		const removed = links.send("k");
		links.tell("k", "removed", null);
		removed({ messageId: "removed", sent, isWaiting: true });
		expect(links.size).toBe(1);
		expect(links.take("other", "waits")).toBeNull();
		expect(links.take("k", "waits")).toBe(sent);
		expect(links.size).toBe(0);
	});
});

describe("INVALID_ARGUMENT, with what would have been right,", () => {
	const refused = (act: () => unknown) => {
		try {
			act();
		} catch (error) {
			return error;
		}
		return null;
	};

	test.each([
		["options", 7, "options is 7; it must be an object"],
		["tracer", { tracer: {} }, "tracer is {}; it must have startSpan()"],
		[
			"meter",
			{ meter: { createCounter() {} } },
			"it must have createCounter(), createHistogram()",
		],
		["clock", { clock: { monotonic() {} } }, "clock is {}; it must have now()"],
	])("for %s", (_, options, message) => {
		expect(refused(() => createTelemetry(wrong(options)))).toMatchObject({
			code: "INVALID_ARGUMENT",
			message: expect.stringContaining(message),
		});
	});

	test("for what is no runtime, no executor and no store", () => {
		const telemetry = createTelemetry();
		for (const [act, message] of [
			[
				() => telemetry.runtime(wrong({})),
				"runtime is {}; it must have subscribe()",
			],
			[
				() => telemetry.executor(wrong("run")),
				'execute is "run"; it must be a function of a run',
			],
			[
				() => telemetry.store(wrong(null)),
				"store is null; it must have open(), read()",
			],
		] as const)
			expect(refused(act)).toMatchObject({
				code: "INVALID_ARGUMENT",
				message: expect.stringContaining(message),
			});
	});

	test("for a second runtime", () => {
		const telemetry = createTelemetry();
		const make = () => createSessionRuntime({ store: memoryStore() });
		telemetry.runtime(make());
		expect(refused(() => telemetry.runtime(make()))).toMatchObject({
			code: "INVALID_ARGUMENT",
			message: expect.stringContaining("each needs its own: createTelemetry()"),
		});
	});
});
