/* Which stretch of time a view shows: a range that ends now and moves on, or a window that is held. Pure.
 *
 * In the address: range=15m, or from= and to= in seconds since 1970. A window is held by zooming and by pausing, which
 * are one thing: what is shown stays, what comes is kept. */

export const POINTS = 600;
const REFRESH_MS = 60_000;
const SHORTEST_S = 2;
const LONGEST_S = 31 * 86_400;

/** @typedef {{name: string, seconds: number, label: string}} Range */
/** @typedef {{from: number, to: number, held: boolean, range: Range}} Window */
/** @typedef {{get: (name: string) => string|null|undefined}} Asked */

/** @type {Range[]} */
export const RANGES = [
    { name: "1m", seconds: 60, label: "1 minute" },
    { name: "5m", seconds: 300, label: "5 minutes" },
    { name: "15m", seconds: 900, label: "15 minutes" },
    { name: "1h", seconds: 3600, label: "1 hour" },
    { name: "6h", seconds: 21_600, label: "6 hours" },
    { name: "1d", seconds: 86_400, label: "1 day" },
    { name: "7d", seconds: 604_800, label: "7 days" },
    { name: "31d", seconds: LONGEST_S, label: "31 days" },
];
/** Where none is asked for: five minutes, or one of what is younger than this. */
const YOUNG_S = 90;

/** @param {string|null|undefined} name @param {number} age in seconds, of what is shown */
const rangeOf = (name, age) => RANGES.find((range) => range.name === name) ?? RANGES[age < YOUNG_S ? 0 : 1];

/** A window within what history keeps, of two seconds at least. @param {number} from @param {number} to */
function bounded(from, to) {
    const length = Math.min(LONGEST_S, Math.max(SHORTEST_S, to - from));
    const middle = (from + to) / 2;
    return { from: middle - length / 2, to: middle + length / 2 };
}

/** What the address asks for. @param {Asked} asked @param {number} now seconds since 1970 @param {number} [age] in seconds, of what is shown @returns {Window} */
export function windowOf(asked, now, age = Infinity) {
    const range = rangeOf(asked.get("range"), age);
    const from = Number(asked.get("from") ?? NaN);
    const to = Number(asked.get("to") ?? NaN);
    if (Number.isFinite(from) && Number.isFinite(to) && from > 0 && to > from) {
        return { ...bounded(from, to), held: true, range };
    }
    return { from: now - range.seconds, to: now, held: false, range };
}

/** The address's words for a held window; ms are as fine as a screen shows. @param {number} from @param {number} to */
export function heldWords(from, to) {
    const window = bounded(from, to);
    return { from: window.from.toFixed(3), to: window.to.toFixed(3) };
}

/** @param {{from: number, to: number}} window @param {number} at stays where it is @param {number} factor below 1: nearer */
export function zoomed({ from, to }, at, factor) {
    return bounded(at - (at - from) * factor, at + (to - at) * factor);
}

/** @param {{from: number, to: number}} window @param {number} share of its length, to the right where positive */
export function panned({ from, to }, share) {
    const by = (to - from) * share;
    return { from: from + by, to: to + by };
}

/** How often history is read again: the stream goes on where an answer ends, so this is for what it did not tell, and
 * for the extremes of long steps. A held window is read once. @param {Window} window */
export const refreshMs = (window) => window.held ? 0 : REFRESH_MS;

/** What to ask history for. @param {Window} window */
export function historyQuery({ from, to }) {
    const iso = (/** @type {number} */ t) => new Date(t * 1000).toISOString();
    return { from: iso(Math.floor(from) - 1), to: iso(Math.ceil(to)), points: String(POINTS) };
}
