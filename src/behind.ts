/** Owns doors: what stands between a caller and some of a thing's methods, so that the calls can be seen. Never what happens at one. */

/** Something with some of its methods behind doors; all else is as it was. */
export function behind<Thing extends object>(
	thing: Thing,
	doors: object,
): Thing {
	return new Proxy(thing, {
		get: (target, name) => {
			if (Object.hasOwn(doors, name)) return Reflect.get(doors, name);
			const value = Reflect.get(target, name, target);
			return typeof value === "function" ? value.bind(target) : value;
		},
	});
}
