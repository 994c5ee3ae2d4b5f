/** Owns how components follow what is not theirs: atoms, the time, the width of an element. */
import type { ReadonlyAtom } from "@xstate/store";
import type { RefObject } from "preact";
import { useEffect, useLayoutEffect, useState } from "preact/hooks";

/** The value of an atom, now and whenever it changes. */
export function useAtom<Value>(atom: ReadonlyAtom<Value>): Value {
	const [value, set] = useState(() => atom.get());
	useLayoutEffect(() => {
		const show = (next: Value) => set(() => next);
		show(atom.get());
		const subscription = atom.subscribe(show);
		return () => subscription.unsubscribe();
	}, [atom]);
	return value;
}

/** The time, in epoch ms, every so often while the page is seen. */
export function useNow(everyMs: number): number {
	const [now, set] = useState(Date.now);
	useEffect(() => {
		const timer = setInterval(() => {
			if (!document.hidden) set(Date.now());
		}, everyMs);
		return () => clearInterval(timer);
	}, [everyMs]);
	return now;
}

/** The width that an element has, in px. */
export function useWidth(element: RefObject<HTMLElement | null>): number {
	const [width, set] = useState(0);
	useLayoutEffect(() => {
		const { current } = element;
		if (!current) return;
		const observer = new ResizeObserver(() => set(current.clientWidth));
		observer.observe(current);
		return () => observer.disconnect();
	}, [element]);
	return width;
}
