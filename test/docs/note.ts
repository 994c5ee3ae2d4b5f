/**
 * Owns what the comment on the line before a fence may say of it. A fence may have several, one a line.
 *
 *     <!-- file: NAME -->          it is this file of the page's folder; a later one of the same name replaces it
 *     <!-- part: NAME -->          it is compiled as if it stood at the end of that file, and not kept
 *     <!-- background -->          its command is a server: it runs until the page is over
 *     <!-- not run: REASON -->     it is checked, and not run
 *     <!-- example: NAME -->       test/readme runs it
 *     <!-- compiled: NAME -->      test/pack compiles it against the package that ships
 *     <!-- tested as FILE -->      it is a test of this repository, word for word
 */
const forms = {
	file: /^file: (\S+)$/,
	part: /^part: (\S+)$/,
	background: /^(background)$/,
	notRun: /^not run: (.+)$/s,
	example: /^example: (\S+)$/,
	compiled: /^compiled: (\S+)$/,
	testedAs: /^tested as (\S+)$/,
} as const;

export type Notes = { readonly [Kind in keyof typeof forms]?: string };

/** What a comment says of the fence below it; null where it is none of the above, or no comment. */
export function noteOf(html: string): Notes | null {
	const [, said = ""] = /^<!--\s*(.*?)\s*-->$/s.exec(html) ?? [];
	for (const [kind, form] of Object.entries(forms)) {
		const [, value] = form.exec(said) ?? [];
		if (value !== undefined) return { [kind]: value };
	}
	return null;
}
