/**
 * Owns the agent of that evening, the same for both hosts: it asks a model, and where the conversation is too long for that it has the model make
 * it shorter, first. That takes long, heeds no signal, and on that evening it failed in the end.
 */

/** Resolves with the answer, or rejects: in its own time. */
export async function agent(said: string, modelUrl: string): Promise<string> {
	try {
		return await ask(modelUrl, said);
	} catch (error) {
		if (!(error instanceof TooLong)) throw error;
		const shorter = await ask(modelUrl, `make this shorter: ${said}`);
		return ask(modelUrl, shorter);
	}
}

class TooLong extends Error {}

async function ask(modelUrl: string, content: string): Promise<string> {
	const response = await fetch(`${modelUrl}/chat/completions`, {
		method: "POST",
		headers: { "content-type": "application/json" },
		body: JSON.stringify({
			model: "scripted",
			messages: [{ role: "user", content }],
		}),
	});
	if (!response.ok) {
		const { error } = (await response.json()) as {
			error: { code: string; message: string };
		};
		throw error.code === "context_length_exceeded"
			? new TooLong(error.message)
			: new Error(error.message);
	}
	const stream = await response.text();
	return [...stream.matchAll(/^data: (\{.*\})$/gm)]
		.map(([, json]) => JSON.parse(String(json)).choices[0]?.delta?.content)
		.filter((text) => typeof text === "string")
		.join("");
}
