/** Owns where a store's file is: which paths are taken, and the one real path behind all names of a file. Never opens the file. */
import {
	lstatSync,
	readlinkSync,
	realpathSync,
	type Stats,
	statSync,
} from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { invalid, shown } from "../arguments.ts";
import type { TurnkeeperError } from "../errors.ts";
import { storeFailure } from "./failure.ts";

/** Links to links that are followed before they are taken for a circle. */
const mostLinks = 40;

/** A path as given, checked without a look at the disk. */
export function checkPath(path: unknown): string {
	if (typeof path !== "string" || path === "" || path.includes("\0"))
		throw invalid(
			`path is ${shown(path)}; it must name a file, such as "sessions.db"`,
		);
	if (path === ":memory:")
		throw invalid(
			'path is ":memory:"; it must name a file; for a store without one use memoryStore()',
		);
	if (/^file:/i.test(path))
		throw invalid(
			`path is ${shown(path)}; it must be a path of the file system, not a URI`,
		);
	return path;
}

/** The real path of the store's file, which may not exist yet. Its folder must. */
export function placeOf(path: string): string {
	const place = follow(resolve(path), mostLinks);
	const found = look(() => statSync(place), path);
	if (found && !found.isFile()) throw notFile(path, found);
	return place;
}

/** The real path of a file that exists. */
export function existingPlaceOf(path: string): string {
	const found = look(() => statSync(path), path);
	if (!found)
		throw invalid(
			`path is ${shown(path)}, where there is no file; it must be the file of a store that a host has opened before`,
		);
	if (!found.isFile()) throw notFile(path, found);
	return realpathSync.native(path);
}

function follow(path: string, links: number): string {
	const real = look(() => realpathSync.native(path), path);
	if (real !== null) return real;
	const folder = look(() => realpathSync.native(dirname(path)), path);
	if (folder === null)
		throw invalid(
			`path is ${shown(path)}, and the folder ${shown(dirname(path))} does not exist; create it first`,
		);
	const place = join(folder, basename(path));
	// A link to a file that is still to be made: the file is the place, whatever its links are called.
	const link = look(() => lstatSync(place), path);
	if (!link?.isSymbolicLink()) return place;
	if (links === 0)
		throw invalid(`path is ${shown(path)}, a link that leads in a circle`);
	return follow(resolve(folder, readlinkSync(place)), links - 1);
}

/** Null where nothing is found. */
function look<Found>(at: () => Found, path: string): Found | null {
	try {
		return at();
	} catch (error) {
		const { code } = error as NodeJS.ErrnoException;
		if (code === "ENOENT") return null;
		if (code === "ENOTDIR")
			throw invalid(
				`path is ${shown(path)}, which leads through a file as if it were a folder`,
			);
		if (code === "ELOOP")
			throw invalid(`path is ${shown(path)}, a link that leads in a circle`);
		throw storeFailure(path, "found", error);
	}
}

function notFile(path: string, found: Stats): TurnkeeperError {
	return invalid(
		`path is ${shown(path)}, ${found.isDirectory() ? "a folder" : "no ordinary file"}; it must name a file, such as ${shown(join(path, "sessions.db"))}`,
	);
}
