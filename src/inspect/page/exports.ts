/** Owns what the page gives away as files: the trace, and the lanes as a drawing that looks the same elsewhere. */
import { traceOf } from "./trace.ts";
import type { WatchedSession } from "./watched.ts";

export function saveTrace(session: WatchedSession): void {
	const lines = traceOf(session).map((line) => `${JSON.stringify(line)}\n`);
	save(lines.join(""), nameOf(session, "jsonl"), "application/jsonl");
}

/** What is inherited from the page's style, as it is now. */
const drawn = [
	"fill",
	"fill-opacity",
	"stroke",
	"stroke-width",
	"stroke-dasharray",
	"stroke-linejoin",
	"paint-order",
	"opacity",
	"font-family",
	"font-size",
	"font-weight",
] as const;

export function saveLanes(session: WatchedSession): void {
	const shown = document.querySelector<SVGSVGElement>("svg.lanes-drawing");
	if (!shown) return;
	const copy = shown.cloneNode(true) as SVGSVGElement;
	copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
	const from = [shown, ...shown.querySelectorAll("*")];
	[copy, ...copy.querySelectorAll("*")].forEach((element, at) => {
		const style = getComputedStyle(from[at] as Element);
		for (const name of drawn)
			element.setAttribute(name, style.getPropertyValue(name));
		element.removeAttribute("class");
	});
	const ground = document.createElementNS("http://www.w3.org/2000/svg", "rect");
	const { x, y, width, height } = shown.viewBox.baseVal;
	for (const [name, value] of Object.entries({ x, y, width, height }))
		ground.setAttribute(name, String(value));
	ground.setAttribute(
		"fill",
		getComputedStyle(document.documentElement).backgroundColor,
	);
	copy.prepend(ground);
	save(
		new XMLSerializer().serializeToString(copy),
		nameOf(session, "svg"),
		"image/svg+xml",
	);
}

function save(text: string, name: string, type: string): void {
	const link = document.createElement("a");
	link.href = URL.createObjectURL(new Blob([text], { type }));
	link.download = name;
	link.click();
	// The browser has taken it by then.
	setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

function nameOf({ sessionKey }: WatchedSession, extension: string): string {
	return `${sessionKey.replace(/[^\w.-]+/g, "-").slice(0, 80) || "session"}.${extension}`;
}
