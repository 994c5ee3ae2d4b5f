/** Owns whether a mutant compiles: a mutant that the compiler refuses needs no test. */
import ts from "typescript";
import { type Mutation, mutated, root } from "./mutation.ts";

export class Compiler {
	/** Mutants by file; all other files are as they are. */
	#mutant: { file: string; text: string } | null = null;
	#edits = 0;
	#service: ts.LanguageService;

	constructor() {
		const config = ts.getParsedCommandLineOfConfigFile(
			`${root}tsconfig.json`,
			{},
			{
				...ts.sys,
				onUnRecoverableConfigFileDiagnostic: ({ messageText }) => {
					throw new Error(ts.flattenDiagnosticMessageText(messageText, "\n"));
				},
			},
		);
		if (!config) throw new Error("tsconfig.json could not be read");
		const files = config.fileNames.filter((file) =>
			/\/(src|machines)\//.test(file),
		);
		this.#service = ts.createLanguageService({
			getCompilationSettings: () => config.options,
			getScriptFileNames: () => files,
			getScriptVersion: (file) =>
				file === this.#mutant?.file ? `mutant ${this.#edits}` : "original",
			getScriptSnapshot: (file) => {
				const text =
					file === this.#mutant?.file
						? this.#mutant.text
						: ts.sys.readFile(file);
				return text === undefined
					? undefined
					: ts.ScriptSnapshot.fromString(text);
			},
			getCurrentDirectory: () => root,
			getDefaultLibFileName: ts.getDefaultLibFilePath,
			fileExists: ts.sys.fileExists,
			readFile: ts.sys.readFile,
			readDirectory: ts.sys.readDirectory,
			directoryExists: ts.sys.directoryExists,
			getDirectories: ts.sys.getDirectories,
		});
	}

	/** What the compiler has against it in its own file, or null. */
	refusalOf(mutation: Mutation): string | null {
		const file = root + mutation.file;
		this.#edits += 1;
		this.#mutant = {
			file,
			text: mutated(mutation),
		};
		const [first] = [
			...this.#service.getSyntacticDiagnostics(file),
			...this.#service.getSemanticDiagnostics(file),
		];
		return first
			? ts.flattenDiagnosticMessageText(first.messageText, "\n")
			: null;
	}
}
