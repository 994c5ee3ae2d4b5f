/**
 * Owns the gallery: one page with the swim-lanes of every scenario, drawn from what it did as it was played. Run as a program
 * (`npm run races:gallery`) it plays the scenarios and writes gallery.html beside it, which is not kept in the repository.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { escaped, laneStyle, svgOf } from "../../src/testing/lane-svg.ts";
import { type Drawing, readDrawings } from "./drawings.ts";
import { categories, faultsOf, type Index, readIndex } from "./index.ts";

const pageFile = join(import.meta.dirname, "gallery.html");

/** Drawings of one scenario that plays on several stores, one after another. */
const mostTakes = 4;
const mostSteps = 90;

/** What is wrong with the drawings, by name: a scenario that has none. */
export function missing(
	{ scenarios }: Index,
	drawings: readonly Drawing[],
): readonly string[] {
	const drawn = new Map<string, number>();
	for (const { id, file } of drawings)
		drawn.set(`${id} in ${file}`, (drawn.get(`${id} in ${file}`) ?? 0) + 1);
	const wanted = new Map<string, number>();
	for (const { id, file } of scenarios)
		wanted.set(`${id} in ${file}`, (wanted.get(`${id} in ${file}`) ?? 0) + 1);
	return [...wanted]
		.filter(([name, count]) => (drawn.get(name) ?? 0) < count)
		.map(
			([name, count]) =>
				`${name}: ${drawn.get(name) ?? 0} drawings of ${count} scenarios`,
		);
}

/** The whole page. */
export function pageOf(index: Index, drawings: readonly Drawing[]): string {
	const byId = Map.groupBy(drawings, ({ id }) => id);
	const sections = Object.entries(categories).map(([category, name]) => {
		const rows = index.rows
			.filter((row) => row.category === category)
			.map((row) => rowOf(row, byId.get(row.id) ?? [], index.reasons[row.id]));
		return `<section data-category="${category}"><h2 id="${category}"><a href="#${category}">${category}</a> ${escaped(name)}</h2>\n${rows.join("\n")}</section>`;
	});
	const chips = Object.entries(categories).map(
		([category, name]) =>
			`<button type="button" data-category="${category}" aria-pressed="false" title="${escaped(name)}">${category}</button>`,
	);
	return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Races, drawn</title>
<style>${pageStyle}${laneStyle}</style>
<header>
<h1>Races, drawn</h1>
<p>${index.rows.length} races that happened in real chat-bot hosts, agent frameworks and actor engines, each played against turnkeeper. What you see is not a sketch: every drawing is the trace of its scenario as it ran, on a store in memory and a clock that stands still.</p>
<details><summary>How to read a drawing</summary>
<p>Time goes down. Each line from the staircase at the top is a lane: the host and whoever calls, a session with its mailbox, the attempts of its runs, the store. An arrow is a call, an answer, a run's own act, or a commit. The bands behind a session and its runs are generations: a reset begins the next, and a run keeps that of its own.</p>
<p class="legend"><span class="good">took effect</span> <span class="late">late, repeated or cut short</span> <span class="refused">refused, or broken</span> <span class="band g1">odd generation</span> <span class="band g0">even generation</span></p>
</details>
</header>
<nav>
<div class="find"><input type="search" id="find" placeholder="Find an id or a word" aria-label="Find a race"><output id="count"></output><button type="button" id="all">open all</button></div>
<div class="chips">${chips.join("")}</div>
</nav>
<main>
${sections.join("\n")}
</main>
<script>${pageScript}</script>
</html>
`;
}

function rowOf(
	row: Index["rows"][number],
	drawings: readonly Drawing[],
	reason: string | undefined,
): string {
	const [first, ...others] = drawings;
	const shown = first
		? figureOf(first, `${row.id}-1`) +
			others
				.slice(0, 5)
				.map((one, i) => figureOf(one, `${row.id}-${i + 2}`))
				.join("") +
			(others.length > 5
				? `<details class="more"><summary>${others.length - 5} more of the same order</summary>${others
						.slice(5)
						.map((one, i) => figureOf(one, `${row.id}-${i + 7}`))
						.join("")}</details>`
				: "")
		: `<p class="none">Not played: ${escaped(reason ?? "nothing of it is left here")}</p>`;
	const [repository, ...numbers] = row.thread.split(/#| \/ #/);
	const threads = numbers
		.map(
			(number) =>
				`<a href="https://github.com/${repository}/issues/${number}">${repository}#${number}</a>`,
		)
		.join(", ");
	return `<details class="row" id="${row.id}"><summary><b>${row.id}</b> <span>${escaped(row.cause)}</span></summary>
<dl><dt>Events</dt><dd>${orderOf(row.order)}</dd><dt>Right</dt><dd>${escaped(row.outcome)}</dd><dt>Thread</dt><dd>${threads}</dd></dl>
${shown}</details>`;
}

/** One line for each event; the numbers are the catalogue's. */
function orderOf(order: string): string {
	return order
		.split(/ → (?=t?\d)/)
		.map((event) => `<div>${escaped(event)}</div>`)
		.join("");
}

function figureOf(drawing: Drawing, anchor: string): string {
	const takes = drawing.traces.slice(0, mostTakes);
	const left = drawing.traces.length - takes.length;
	const drawn = takes.map((trace, i) => {
		const title = `${drawing.id} ${drawing.title}${i > 0 ? `, take ${i + 1}` : ""}`;
		const svg = svgOf(trace, { style: false, title, steps: mostSteps });
		return `<div class="lanes" tabindex="0" role="group" aria-label="${escaped(title)}">${svg}</div>`;
	});
	const [first = "", ...others] = drawn;
	const more =
		others.length > 0
			? `<details class="more"><summary>${others.length} more ${others.length === 1 ? "take" : "takes"}: the same, another way${left > 0 ? ` (and ${left} that are not drawn)` : ""}</summary>${others.join("")}</details>`
			: "";
	return `<figure id="${anchor}"><figcaption><a href="#${anchor}">${escaped(drawing.title)}</a> <small>${escaped(drawing.file)}</small></figcaption>${first}${more}</figure>`;
}

const pageStyle = `
:root{--page:#f7f8fa;--card:#fff;--text:#1c2330;--soft:#5b6575;--edge:#d9dee7;--link:#2456a6;--odd:#dbe7fb;--even:#f7e3c8;--good:#137a4a;--late:#9a5b00;--refused:#b3261e}
@media(prefers-color-scheme:dark){:root{--page:#12161d;--card:#1a202a;--text:#e3e8f0;--soft:#9aa6b8;--edge:#2e3745;--link:#8fb8ff;--odd:#22375c;--even:#523c1d;--good:#5cd199;--late:#e9b15c;--refused:#ff8a80}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--text);font:15px/1.5 ui-sans-serif,system-ui,sans-serif;overflow-wrap:anywhere}
header,nav,main{max-width:62rem;margin:0 auto;padding:0 1rem}
h1{margin:1.5rem 0 .25rem;font-size:1.6rem}h2{margin:2rem 0 .5rem;font-size:1.05rem}
a{color:var(--link)}h2 a,figcaption a{color:inherit;text-decoration:none}h2 a:hover,figcaption a:hover{text-decoration:underline}
p{max-width:70ch}
nav{position:sticky;top:0;z-index:1;background:var(--page);padding-top:.6rem;border-bottom:1px solid var(--edge)}
.find{display:flex;gap:.6rem;align-items:center;color:var(--soft);font-size:.85rem}.find output,.find button{flex:none}
input{flex:1;min-width:0;font:inherit;padding:.5rem .7rem;border:1px solid var(--edge);border-radius:.5rem;background:var(--card);color:inherit}
button{font:inherit;font-size:.85rem;min-height:2rem;padding:.15rem .6rem;border:1px solid var(--edge);border-radius:1rem;background:var(--card);color:inherit;cursor:pointer}
button[aria-pressed=true]{background:var(--link);border-color:var(--link);color:var(--page)}
.chips{display:flex;gap:.35rem;overflow-x:auto;padding:.5rem 0;scrollbar-width:thin}.chips button{flex:none}
:focus-visible{outline:2px solid var(--link);outline-offset:1px}
.row{background:var(--card);border:1px solid var(--edge);border-radius:.6rem;margin:.4rem 0;scroll-margin-top:7rem;content-visibility:auto;contain-intrinsic-size:auto 3rem}
.row>summary{padding:.55rem .8rem;cursor:pointer;list-style:none;display:flex;gap:.7rem}.row>summary::-webkit-details-marker{display:none}
.row>summary b{flex:none;font-variant-numeric:tabular-nums;color:var(--link)}
.row[open]>summary{border-bottom:1px solid var(--edge)}
dl{display:grid;grid-template-columns:auto 1fr;gap:.2rem .8rem;margin:.7rem .8rem;font-size:.9rem}dt{color:var(--soft)}dd{margin:0}
figure{margin:.9rem .8rem;scroll-margin-top:7rem}figcaption{font-weight:600;margin-bottom:.35rem}figcaption small{font-weight:400;color:var(--soft)}
.lanes{overflow-x:auto;border:1px solid var(--edge);border-radius:.4rem;padding:.4rem;margin:.3rem 0}.lanes svg{display:block}
.more>summary{cursor:pointer;color:var(--soft);font-size:.85rem;padding:.2rem 0}.none{margin:.8rem;color:var(--soft)}
.legend{display:flex;flex-wrap:wrap;gap:.4rem 1rem;font-size:.9rem}.legend .good{color:var(--good)}.legend .late{color:var(--late)}.legend .refused{color:var(--refused)}.band{padding:0 .5rem;border-radius:.3rem}.band.g1{background:var(--odd)}.band.g0{background:var(--even)}
[hidden]{display:none!important}
main{padding-bottom:4rem}
@media(max-width:30rem){body{font-size:14px}header,nav,main{padding:0 .6rem}nav{padding-top:.5rem}figure,dl{margin-left:.5rem;margin-right:.5rem}}
`;

const pageScript = `
const find=document.getElementById("find"),count=document.getElementById("count"),all=document.getElementById("all");
const rows=[...document.querySelectorAll(".row")],chips=[...document.querySelectorAll(".chips button")];
const words=new Map(rows.map((row)=>[row,row.textContent.toLowerCase()]));
let category=null;
function show(){
const asked=find.value.toLowerCase().split(/\\s+/).filter(Boolean);let left=0;
for(const row of rows){const is=(!category||row.id.startsWith(category))&&asked.every((word)=>words.get(row).includes(word));row.hidden=!is;if(is)left++}
for(const section of document.querySelectorAll("section"))section.hidden=!section.querySelector(".row:not([hidden])");
for(const chip of chips)chip.setAttribute("aria-pressed",String(chip.dataset.category===category));
count.textContent=left===rows.length?rows.length+" races":left+" of "+rows.length}
function go(){const at=document.getElementById(decodeURIComponent(location.hash.slice(1)));if(!at)return;
for(let up=at;up;up=up.parentElement)if(up.tagName==="DETAILS")up.open=true;
if(at.closest("[hidden]")){find.value="";category=null;show()}at.scrollIntoView()}
find.addEventListener("input",show);
for(const chip of chips)chip.addEventListener("click",()=>{category=category===chip.dataset.category?null:chip.dataset.category;show()});
all.addEventListener("click",()=>{const open=all.textContent==="open all";for(const row of rows)if(!row.hidden)row.open=open;all.textContent=open?"close all":"open all"});
for(const row of rows)row.addEventListener("toggle",()=>{if(row.open&&!location.hash.startsWith("#"+row.id)&&all.textContent==="open all")history.replaceState(null,"","#"+row.id)});
addEventListener("hashchange",go);show();go();
`.replace(/\n/g, "");

/** Plays the scenarios, on memory alone, and has them leave their traces. */
function played(): readonly Drawing[] {
	const folder = mkdtempSync(join(tmpdir(), "turnkeeper-races-"));
	try {
		const { status } = spawnSync(
			process.execPath,
			[
				join(import.meta.dirname, "../../node_modules/vitest/vitest.mjs"),
				"run",
				"test/races",
				"--testNamePattern=, on memory",
				"--reporter=dot",
			],
			{
				cwd: join(import.meta.dirname, "../.."),
				env: { ...process.env, RACES_DRAWINGS: folder },
				stdio: ["ignore", "inherit", "inherit"],
			},
		);
		if (status !== 0) throw new Error("a scenario failed; see above");
		return readDrawings(folder);
	} finally {
		rmSync(folder, { recursive: true, force: true });
	}
}

if (import.meta.main) {
	const index = readIndex();
	const drawings = process.env.RACES_DRAWINGS
		? readDrawings(process.env.RACES_DRAWINGS)
		: played();
	const faults = [...faultsOf(index), ...missing(index, drawings)];
	for (const fault of faults) console.error(fault);
	const page = pageOf(index, drawings);
	writeFileSync(pageFile, page);
	console.log(
		`${pageFile}: ${drawings.length} scenarios, ${Math.round(page.length / 1024)} kB`,
	);
	process.exitCode = faults.length > 0 ? 1 : 0;
}
