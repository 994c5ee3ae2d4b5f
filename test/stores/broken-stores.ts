/** Owns stores that break one rule each, and which check must say so. All but what is broken is a memory store. */
import type {
	Batch,
	OpenStore,
	Page,
	RowFacts,
	SessionStore,
	SessionWrite,
} from "turnkeeper";
import { memoryStore } from "turnkeeper/memory";

export interface BrokenStore {
	/** What it does wrong. */
	readonly fault: string;
	/** The group and the sentence of the check that must fail. */
	readonly caughtBy: readonly [about: string, sentence: string];
	readonly make: () => SessionStore;
}

type Methods = { [Name in keyof OpenStore]?: OpenStore[Name] };

/** A memory store whose owner, or whoever holds it, does some things of its own. */
function breaking(own: (inner: OpenStore) => Methods): () => SessionStore {
	const withOwn = (inner: OpenStore): OpenStore => {
		const methods: Methods = own(inner);
		return new Proxy(inner, {
			get(target, name) {
				if (name in methods) return Reflect.get(methods, name);
				const value = Reflect.get(target, name, target);
				return typeof value === "function" ? value.bind(target) : value;
			},
		});
	};
	return () => {
		const store = memoryStore();
		return {
			open: async (owner) => withOwn(await store.open(owner)),
			read: async () => withOwn((await store.read()) as OpenStore),
		};
	};
}

/** The same wrapper without a fault. */
export const wholeStore = breaking(() => ({}));

const turn = () => new Promise<void>((next) => setImmediate(next));

/** Every batch with its sessions changed. */
const writing = (change: (write: SessionWrite) => SessionWrite) =>
	breaking((inner) => ({
		commit: ({ sessions, refusals }) =>
			inner.commit({ sessions: sessions.map(change), refusals }),
	}));

/** Every page of rows with its items changed. */
const listing = (change: (page: Page<RowFacts>) => Page<RowFacts>) =>
	breaking((inner) => ({
		list: async (query) => change(await inner.list(query)),
	}));

async function oneByOne(inner: OpenStore, { sessions, refusals }: Batch) {
	await inner.commit({ sessions: [], refusals });
	for (const write of sessions) {
		await inner.commit({ sessions: [write], refusals: [] });
		await turn();
	}
}

export const brokenStores: readonly BrokenStore[] = [
	{
		fault: "writes a batch session by session",
		caughtBy: [
			"compares and sets",
			"a row at another version: nothing of the batch holds",
		],
		make: breaking((inner) => ({ commit: (batch) => oneByOne(inner, batch) })),
	},
	{
		fault: "shows readers a batch that is half written",
		caughtBy: [
			"has readers while it commits",
			"who see each batch wholly or not at all, in order",
		],
		make: breaking((inner) => ({ commit: (batch) => oneByOne(inner, batch) })),
	},
	{
		fault: "shows readers what it then refuses",
		caughtBy: [
			"has readers while it commits",
			"who see nothing of a batch that was refused",
		],
		make: breaking((inner) => ({ commit: (batch) => oneByOne(inner, batch) })),
	},
	{
		fault: "writes whatever version is there",
		caughtBy: [
			"compares and sets",
			"a row where none was expected is a conflict",
		],
		make: breaking((inner) => ({
			async commit({ sessions, refusals }) {
				for (const write of sessions) {
					const baseVersion = await inner.version(write.sessionKey);
					await inner.commit({
						sessions: [{ ...write, baseVersion }],
						refusals: [],
					});
				}
				await inner.commit({ sessions: [], refusals });
			},
		})),
	},
	{
		fault: "compares no version where the row stays as it is",
		caughtBy: [
			"compares and sets",
			"a row that stays as it is is compared too",
		],
		make: breaking((inner) => ({
			async commit({ sessions, refusals }) {
				const [write] = sessions;
				if (write?.facts !== null) return inner.commit({ sessions, refusals });
				const baseVersion = await inner.version(write.sessionKey);
				await inner.commit({ sessions: [{ ...write, baseVersion }], refusals });
			},
		})),
	},
	{
		fault: "writes a refusal once for every try",
		caughtBy: ["compares and sets", "what is in two batches is there once"],
		make: (() => {
			let tries = 0;
			return breaking((inner) => ({
				commit: ({ sessions, refusals }) =>
					inner.commit({
						sessions,
						refusals: refusals.map((one) => ({
							...one,
							refusalId: `${one.refusalId}, try ${++tries}`,
						})),
					}),
			}));
		})(),
	},
	{
		fault: "lists the newest key first",
		caughtBy: [
			"lists",
			"rows by key, page by page, also where others arrive in between",
		],
		make: listing(({ items, cursor }) => ({
			items: items.toReversed(),
			cursor,
		})),
	},
	{
		fault: "lists in the order of UTF-16",
		caughtBy: [
			"keeps what it is given",
			"any key and any id is an ordinary one",
		],
		make: listing(({ items, cursor }) => ({
			items: items.toSorted((a, b) => (a.sessionKey < b.sessionKey ? -1 : 1)),
			cursor,
		})),
	},
	{
		fault: "gives the last of a page again on the next",
		caughtBy: ["lists", "generations of a key, newest first, page by page"],
		make: breaking((inner) => ({
			generations: (key, { cursor, limit }) =>
				inner.generations(key, {
					limit,
					cursor: cursor && String(Number(cursor) + 1),
				}),
		})),
	},
	{
		fault: "skips one between two pages",
		caughtBy: ["lists", "generations of a key, newest first, page by page"],
		make: breaking((inner) => ({
			generations: (key, { cursor, limit }) =>
				inner.generations(key, {
					limit,
					cursor: cursor && String(Number(cursor) - 1),
				}),
		})),
	},
	{
		fault: "gives a cursor although nothing follows",
		caughtBy: ["lists", "a page that is just full is the last one"],
		make: listing(({ items }) => ({
			items,
			cursor: items.at(-1)?.sessionKey ?? null,
		})),
	},
	{
		fault: "lists hidden rows",
		caughtBy: ["lists", "no hidden rows, which load nevertheless"],
		make: writing((write) => ({
			...write,
			facts: write.facts && { ...write.facts, hidden: false },
		})),
	},
	{
		fault: "orders a line by arrival, wherever a message was moved",
		caughtBy: [
			"writes again",
			"a message that was moved in line, which stands where it was moved to",
		],
		make: breaking((inner) => ({
			async load(key) {
				const loaded = await inner.load(key);
				return (
					loaded && {
						...loaded,
						queue: loaded.queue.toSorted((a, b) => a.seq - b.seq),
					}
				);
			},
		})),
	},
	{
		fault: "forgets that messages wait",
		caughtBy: ["lists", "keys with something to do, and only those"],
		make: breaking((inner) => ({
			async unsettled(query) {
				const { items, cursor } = await inner.unsettled(query);
				return { items: items.filter((key) => key !== "b-waiting"), cursor };
			},
		})),
	},
	{
		fault: "takes half a character for a key",
		caughtBy: [
			"keeps what it is given",
			"half a character is refused as a key or an id, and finds nothing",
		],
		make: writing((write) => ({
			...write,
			sessionKey: write.sessionKey.toWellFormed(),
		})),
	},
	{
		fault: "loses what it has no column for",
		caughtBy: ["keeps what it is given", "every field of a message comes back"],
		make: writing((write) => ({
			...write,
			messages: write.messages.map((one) => ({ ...one, expect: null })),
		})),
	},
	{
		fault: "hides no entries",
		caughtBy: [
			"a transcript",
			"shows nothing of a run that is hidden, also of what came in the same batch",
		],
		make: writing((write) => ({ ...write, hides: [] })),
	},
	{
		fault: "appends an entry again",
		caughtBy: [
			"a transcript",
			"has an entry once, however often its batch is tried",
		],
		make: (() => {
			let seq = 0;
			return writing((write) => ({
				...write,
				entries: write.entries.map((one) => ({ ...one, seq: ++seq })),
			}));
		})(),
	},
	{
		fault: "purges the generation that goes on, too",
		caughtBy: [
			"erases",
			"what is older than a generation, and the key's refusals; nothing else",
		],
		make: writing((write) => ({
			...write,
			purgeBefore: write.purgeBefore && write.purgeBefore + 1,
		})),
	},
	{
		fault: "prunes more than it may in a step",
		caughtBy: [
			"prunes messages",
			"erases those that were accepted before, the oldest first, over all keys",
		],
		make: breaking((inner) => ({
			prune: (rule, limit) => inner.prune(rule, limit * 2),
		})),
	},
	{
		fault: "says that there is no more to prune when there is",
		caughtBy: [
			"prunes generations",
			"goes in steps, and leaves the archive record for the last",
		],
		make: breaking((inner) => ({
			prune: async (rule, limit) => ({
				...(await inner.prune(rule, limit)),
				more: false,
			}),
		})),
	},
	{
		fault: "prunes a generation more of a key than it was told",
		caughtBy: [
			"agrees with the memory store",
			"after any batches, conflicts, purges and prunes",
		],
		make: breaking((inner) => ({
			prune: (rule, limit) =>
				inner.prune(
					"sessionKey" in rule ? { ...rule, before: rule.before + 1 } : rule,
					limit,
				),
		})),
	},
	{
		fault: "lets a second owner in",
		caughtBy: [
			"has one owner",
			"a second is refused and told who the first is",
		],
		make: () => {
			const store = memoryStore();
			let owner: Promise<OpenStore> | undefined;
			const open = (as: { readonly name: string }) => {
				owner ??= store.open(as);
				return owner;
			};
			return { open, read: () => store.read() };
		},
	},
	{
		fault: "is never free again",
		caughtBy: ["has one owner", "what was committed is there for the next"],
		make: breaking(() => ({ [Symbol.asyncDispose]: async () => {} })),
	},
	{
		fault: "answers its old owner",
		caughtBy: [
			"has one owner",
			"closed once or twice, it answers nothing more",
		],
		make: breaking(() => ({ version: async () => 1 })),
	},
	{
		fault: "lets an old owner give away what is the next one's",
		caughtBy: [
			"has one owner",
			"closed once more, it lets go of nothing that is the next owner's",
		],
		make: () => {
			const store = memoryStore();
			let current: OpenStore | undefined;
			return {
				read: () => store.read(),
				async open(as) {
					const opened = await store.open(as);
					current = opened;
					return new Proxy(opened, {
						get(target, name) {
							if (name === Symbol.asyncDispose)
								return () => current?.[Symbol.asyncDispose]();
							const value = Reflect.get(target, name, target);
							return typeof value === "function" ? value.bind(target) : value;
						},
					});
				},
			};
		},
	},
];
