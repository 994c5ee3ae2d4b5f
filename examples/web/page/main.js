/** Owns the page: which conversations there are, which of them a narrow screen shows, and what is told to which. */
import { Column } from "./column.js";
import { listen, post } from "./host.js";

const byId = (id) => document.getElementById(id);
const columns = new Map();
let consoleUrl = null;

/** So many are there when nobody has said anything. */
const atFirst = 3;

function announce(text) {
	byId("announcer").textContent = text;
}

function numberOf(key) {
	return Number(key.split(":")[1]);
}

/** The column of this session key, made where there is none yet; in order of their numbers. */
function columnOf(key) {
	const known = columns.get(key);
	if (known) return known;
	const number = numberOf(key);
	const column = new Column(number, announce);
	column.console = consoleUrl;
	const tab = document.createElement("button");
	tab.type = "button";
	tab.addEventListener("click", () => show(key));
	column.changed = () => {
		const { status } = column;
		tab.textContent = status === "none" ? `${number}` : `${number} ${status}`;
		tab.dataset.status = status;
		tab.ariaLabel = `${column.name}${status === "none" ? "" : `, ${status}`}`;
	};
	column.changed();
	column.tab = tab;
	columns.set(key, column);
	const keys = [...columns.keys()].sort((a, b) => numberOf(a) - numberOf(b));
	const next = columns.get(keys[keys.indexOf(key) + 1]);
	byId("columns").insertBefore(column.element, next?.element ?? null);
	byId("tabs").insertBefore(tab, next?.tab ?? null);
	return column;
}

/** The one that a narrow screen shows. */
function show(key) {
	for (const [other, column] of columns) {
		column.element.classList.toggle("is-shown", other === key);
		if (other === key) column.tab.setAttribute("aria-current", "true");
		else column.tab.removeAttribute("aria-current");
	}
}

for (let number = 1; number <= atFirst; number++) columnOf(`web:${number}`);
show("web:1");

byId("add").addEventListener("click", () => {
	const number = Math.max(...[...columns.keys()].map(numberOf)) + 1;
	const column = columnOf(`web:${number}`);
	show(column.key);
	column.element.scrollIntoView({ inline: "end" });
	column.input.focus();
});

byId("slow").addEventListener("change", async ({ target }) => {
	try {
		await post("/slow", { isSlow: target.checked });
	} catch ({ message }) {
		target.checked = !target.checked;
		announce(message);
	}
});

listen(
	{
		host({ model, isSlow, console: url }) {
			byId("model").textContent = `answered by ${model}`;
			byId("slow").checked = isSlow;
			consoleUrl = url;
			byId("console").hidden = false;
			byId("console").href = url;
			for (const column of columns.values()) column.console = url;
		},
		conversation: (told) => columnOf(told.row.sessionKey).conversation(told),
		row: ({ row }) => columnOf(row.sessionKey).row(row),
		run: ({ run }) => columnOf(run.sessionKey).run(run),
		queue: ({ sessionKey, queue }) => columnOf(sessionKey).queue(queue),
		asked: ({ ticket, text }) =>
			columnOf(ticket.sessionKey).asked(ticket, text),
		piece: ({ ticket, seq, text }) =>
			columnOf(ticket.sessionKey).piece(ticket, seq, text),
		gap: ({ ticket, seq }) => columnOf(ticket.sessionKey).gap(ticket, seq),
	},
	(isAway) => {
		byId("away").textContent = isAway
			? "The host is away, or has another address now: open what it prints. What is shown is what was last heard."
			: "";
	},
);
