/** Owns how a trace is drawn as SVG: one element, no script, nothing from elsewhere. */
import { type Extent, folded } from "./lane-fold.ts";
import { elapsed, reachOf } from "./lane-text.ts";
import type { TraceData, TraceStep } from "./trace.ts";

/** How a trace is drawn. */
export interface SvgOptions extends Extent {
	/** For those who cannot see it. Default: the lanes, by name. */
	readonly title?: string;
	/** Whether the element brings its own style; false where the page has it (`laneStyle`). Default true. */
	readonly style?: boolean;
}

const apart = 24;
const head = 17;
const line = 15;
const perLine = 34;
const charWidth = 6.5;

/** The style of all drawings; on a page with many, once. */
export const laneStyle = `.tk{--ink:#1c2330;--dim:#667085;--rail:#aab4c3;--good:#137a4a;--late:#9a5b00;--refused:#b3261e;--error:#b3261e;--odd:#dbe7fb;--even:#f7e3c8;font:12px/1.2 ui-sans-serif,system-ui,sans-serif;color:var(--ink)}
@media(prefers-color-scheme:dark){.tk{--ink:#e3e8f0;--dim:#96a1b3;--rail:#56617a;--good:#5cd199;--late:#e9b15c;--refused:#ff8a80;--error:#ff8a80;--odd:#22375c;--even:#523c1d}}
.tk text{fill:var(--ink)}.tk .d{fill:var(--dim)}.tk .r{stroke:var(--rail);fill:none}.tk .n{stroke-dasharray:2 3}.tk .a{stroke:currentColor;fill:none;stroke-width:1.5}.tk .p{fill:currentColor}.tk .plain{color:var(--dim)}.tk .good{color:var(--good)}.tk .late{color:var(--late)}.tk .refused{color:var(--refused)}.tk .error{color:var(--error)}.tk .good text,.tk .late text,.tk .refused text,.tk .error text{fill:currentColor}.tk .g1{fill:var(--odd)}.tk .g0{fill:var(--even)}.tk .x{stroke:var(--dim);stroke-width:1.5}.tk .crash .x{stroke:var(--error);stroke-dasharray:5 3}.tk .old{opacity:.6}`;

/** Swim-lanes as one SVG element. */
export function svgOf(whole: TraceData, options: SvgOptions): string {
	const trace = folded(whole, options);
	const { lanes, steps } = trace;
	// Room for times, where time passes.
	const left = steps.some(({ at }) => at !== 0) ? 56 : 14;
	const x = new Map(lanes.map(({ id }, i) => [id, left + i * apart]));
	const xOf = (lane: string) => x.get(lane) ?? left;
	const top = lanes.length * head + 6;
	const texts = left + lanes.length * apart - 6;
	// Where each step stands; a long label takes two lines.
	const rows: { step: TraceStep; y: number; said: readonly string[] }[] = [];
	let y = top;
	for (const step of steps) {
		const said = wrapped(step.label);
		rows.push({ step, y: y + line / 2 + 2, said });
		y += 5 + line * said.length;
	}
	const height = y + 6;
	const longest = Math.max(
		...rows.flatMap(({ said }) => said.map(({ length }) => length)),
		20,
	);
	const width = Math.ceil(texts + longest * charWidth + 8);
	const reach = reachOf(steps);
	const yOf = (i: number) => rows[i]?.y ?? top;

	const parts: string[] = [];
	for (const band of bandsOf(trace))
		parts.push(
			`<rect class="g${band.generation % 2}" x="${xOf(band.lane) - 9}" y="${round(yOf(band.from) - 9)}" width="18" height="${round(Math.max(18, (band.to === null ? height : yOf(band.to) - 9) - (yOf(band.from) - 9)))}" rx="4"><title>generation ${band.generation}</title></rect>`,
		);
	lanes.forEach(({ id, kind, label }, i) => {
		const at = xOf(id);
		parts.push(
			`<text x="${at - 4}" y="${(i + 1) * head - 4}">${escaped(label)}</text>`,
		);
		const [first, last] = reach.get(id) ?? [0, 0];
		const from = (i + 1) * head;
		if (kind === "run") {
			parts.push(
				`<path class="r n" d="M${at} ${from}V${yOf(first)}"/>`,
				`<path class="r" d="M${at} ${yOf(first)}V${yOf(last)}"/>`,
			);
		} else parts.push(`<path class="r" d="M${at} ${from}V${height}"/>`);
	});
	let before = 0;
	let life = 1;
	for (const { step, y: at, said } of rows) {
		if (step.kind === "boot") life = step.life;
		const isOld = step.life < life;
		const inner: string[] = [];
		if (step.at !== before)
			inner.push(
				`<text class="d" x="${left - 12}" y="${at + 4}" text-anchor="end">${elapsed(step.at - before)}</text>`,
			);
		before = step.at;
		inner.push(shapeOf(step, at, xOf, left, texts));
		said.forEach((text, n) => {
			const full =
				n === 0 && step.label.length > perLine * 2
					? `<title>${escaped(step.label)}</title>`
					: "";
			inner.push(
				`<text x="${texts}" y="${round(at + 4 + n * line)}">${full}${escaped(text)}</text>`,
			);
		});
		const names = [step.tone, step.kind, ...(isOld ? ["old"] : [])];
		parts.push(`<g class="${names.join(" ")}">${inner.join("")}</g>`);
	}
	const title =
		options.title ??
		`Swim-lanes: ${lanes.map(({ label }) => label).join(", ")}`;
	const style = options.style === false ? "" : `<style>${laneStyle}</style>`;
	return `<svg xmlns="http://www.w3.org/2000/svg" class="tk" role="img" aria-label="${escaped(title)}" width="${width}" height="${round(height)}" viewBox="0 0 ${width} ${round(height)}">${style}${parts.join("")}</svg>`;
}

function shapeOf(
	{ kind, from, to }: TraceStep,
	y: number,
	xOf: (lane: string) => number,
	first: number,
	end: number,
): string {
	if (kind === "crash" || kind === "boot" || kind === "close")
		return `<path class="x" d="M${first - 10} ${y}H${end - 8}"/>`;
	const [a, b] = [xOf(from), xOf(to)];
	const dot = `<circle class="p" cx="${a}" cy="${y}" r="3"/>`;
	if (a === b) return dot;
	const back = a < b ? -1 : 1;
	const tip = b + back * 2;
	return `${dot}<path class="a" d="M${a} ${y}H${tip + back * 4}"/><path class="p" d="M${tip} ${y}l${back * 7} -4v8z"/>`;
}

/** By session lane and by run lane: from which step to which it is of which generation. */
function bandsOf({ lanes, steps }: TraceData): readonly {
	lane: string;
	generation: number;
	from: number;
	to: number | null;
}[] {
	const bands: {
		lane: string;
		generation: number;
		from: number;
		to: number | null;
	}[] = [];
	const open = new Map<string, (typeof bands)[number]>();
	steps.forEach(({ kind, from, generation }, i) => {
		if (kind !== "kept" || generation === null) return;
		const last = open.get(from);
		if (last?.generation === generation) return;
		if (last) last.to = i;
		const band = { lane: from, generation, from: i, to: null };
		open.set(from, band);
		bands.push(band);
	});
	const reach = reachOf(steps);
	for (const { id, kind, generation } of lanes) {
		const own = reach.get(id);
		if (kind === "run" && generation !== null && own)
			bands.push({ lane: id, generation, from: own[0], to: own[1] });
	}
	return bands;
}

/** One line or two; what does not fit is said by an ellipsis. */
function wrapped(label: string): readonly string[] {
	if (label.length <= perLine) return [label];
	const cut = label.lastIndexOf(" ", perLine);
	const at = cut > perLine / 2 ? cut : perLine;
	const rest = label.slice(at).trim();
	return [
		label.slice(0, at),
		rest.length > perLine ? `${rest.slice(0, perLine - 1)}…` : rest,
	];
}

function round(value: number): number {
	return Math.round(value * 10) / 10;
}

/** Text as it may stand in an element or an attribute of XML. */
export function escaped(text: string): string {
	return text
		.replace(/[^\P{Cc}\n\t]/gu, "�")
		.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);
}
