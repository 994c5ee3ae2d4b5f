/** Drawings of a trace: what they show, and what they say that they leave out. */
import { late, race, Trace, type TraceStep } from "turnkeeper/testing";
import { describe, expect, test } from "vitest";

const step = (given: Partial<TraceStep>): TraceStep => ({
	at: 0,
	life: 1,
	kind: "call",
	from: "host",
	to: "host",
	label: "step",
	tone: "plain",
	generation: null,
	...given,
});

/** A host that resets so many sessions in one breath. */
function many(sessions: number): Trace {
	const lane = (id: string, kind: "host" | "session" | "store") => ({
		id,
		kind,
		label: id,
		sessionKey: kind === "session" ? id : null,
		generation: null,
	});
	const ids = Array.from({ length: sessions }, (_, i) => `s${i}`);
	return new Trace({
		lanes: [
			lane("host", "host"),
			...ids.map((id) => lane(id, "session")),
			lane("store", "store"),
		],
		steps: ids.flatMap((id) => [step({ to: id, label: "reset" })]),
	});
}

describe("a drawing", () => {
	test("of many sessions shows the first, and the rest as one lane that says how many, and how often they did the same", () => {
		expect(many(40).text({ lanes: 6 }).split("\n")).toEqual([
			"         host",
			"         │    s0",
			"         │    │    s1",
			"         │    │    │    s2",
			"         │    │    │    │    37 more sessions",
			"         │    │    │    │    │    store",
			"         ●───▶│    │    │    │    │    reset",
			"         ●────┼───▶│    │    │    │    reset",
			"         ●────┼────┼───▶│    │    │    reset",
			"         ●────┼────┼────┼───▶│    │    reset (37 times)",
		]);
	});

	test("of a long trace ends by saying how much it leaves out", () => {
		const { length } = many(5).text({ steps: 3 }).split("\n");
		expect(length).toBe(4 + 3);
		expect(many(5).text({ steps: 3 })).toContain("… and 3 more steps");
		expect(many(5).svg({ steps: 3 })).toContain("… and 3 more steps");
		expect(many(5).text({ steps: 5 })).not.toContain("…");
	});

	test("says what time has passed, also where a clock stepped back, and marks what is late, refused or broken", () => {
		const trace = new Trace({
			lanes: many(1).lanes,
			steps: [
				step({ at: 1500, label: "late", tone: "late" }),
				step({ at: 1000, label: "refused", tone: "refused" }),
				step({ at: 90_061_000, label: "broken", tone: "error" }),
			],
		});
		expect(
			trace
				.text()
				.split("\n")
				.slice(3)
				.map((line) => line.replace(/[│● ]+/g, " ").trim()),
		).toEqual(["+1s500ms ~ late", "−500ms ✗ refused", "+1d1h ! broken"]);
		expect(trace.svg()).toContain("+1d1h");
	});

	test("is well-formed XML whatever a label says", () => {
		const trace = new Trace({
			lanes: many(1).lanes,
			steps: [step({ label: `<b a="&">\u0000 ${"long ".repeat(30)}` })],
		});
		const svg = trace.svg({ title: '"<&>"' });
		expect(svg).toContain('aria-label="&#34;&#60;&#38;&#62;&#34;"');
		expect(svg).not.toContain("<b");
		expect(svg).not.toContain("\u0000");
		expect(svg).toContain("…</text>");
	});

	test("shows each generation of a session as a band of its own, and a run in that of its own", async () => {
		const trace = await race()
			.run("a")
			.reset()
			.then(late("end"))
			.reset()
			.run("b");
		const bands = [
			...trace.svg().matchAll(/<rect class="(g[01])"[^>]*><title>([^<]*)/g),
		].map(([, band, title]) => `${band} ${title}`);
		expect(bands).toEqual([
			"g1 generation 1",
			"g0 generation 2",
			"g1 generation 3",
			"g1 generation 1",
			"g1 generation 3",
		]);
	});

	test("can be kept as JSON and drawn again", async () => {
		const trace = await race().run("a").reset().then(late("end"));
		const again = new Trace(JSON.parse(JSON.stringify(trace)));
		expect(again.text()).toBe(trace.text());
		expect(again.svg()).toBe(trace.svg());
		expect(`${again}`).toBe(trace.text());
	});
});
