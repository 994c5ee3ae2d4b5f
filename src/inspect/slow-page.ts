/** Owns when a page is too slow to be told more for now. */
import type { WebSocket } from "ws";

/** What may wait in its socket before nothing more is made for it. */
const mostWaiting = 1024 * 1024;

export function isBehind(socket: WebSocket): boolean {
	return socket.bufferedAmount > mostWaiting;
}
