/** Owns listening to an answer while it is given. */
import type { AiProgress } from "turnkeeper/ai-sdk";

/** The text of what a run said to those who follow it, until it has said so much. */
export async function heard(
	items: AsyncIterable<unknown>,
	isEnough: (text: string) => boolean = () => false,
): Promise<string> {
	let text = "";
	for await (const item of items) {
		const { value } = item as { value: AiProgress };
		if (value.type === "text") text += value.text;
		if (isEnough(text)) break;
	}
	return text;
}
