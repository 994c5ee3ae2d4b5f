/** Owns turning what comes over time into an array. */

export async function collect<Item>(
	items: AsyncIterable<Item>,
): Promise<Item[]> {
	const all: Item[] = [];
	for await (const item of items) all.push(item);
	return all;
}
