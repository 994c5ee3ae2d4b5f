/** Owns the types of what only the bench has installed, as far as it uses them: the types are checked without them. */

declare module "vega" {
	export function parse(spec: object): object;
	export class View {
		constructor(runtime: object, options: { renderer: "none" });
		toSVG(): Promise<string>;
		finalize(): void;
	}
}

declare module "vega-lite" {
	export function compile(spec: object): { readonly spec: object };
}
