/* Pauses over time as a map: columns of time, rows of lengths on a logarithmic axis, two rows a decade. Pure. */

import * as format from "./format.js";
import { reasonOf } from "./reasons.js";

/** Lower bounds in ns; the first holds all below, the last all above. */
export const BOUNDS = [0, ...Array.from({ length: 14 }, (_, i) => Math.round(1000 * 10 ** (i / 2)))];
export const SHADES = 6;

/** @typedef {{from: number, to: number, columns: number, counts: Uint32Array, most: number, total: number, lowest: number, highest: number}} Heat */
/** @typedef {{t: number, pause_ns: number, reason: string}} Mark */

/** @param {number} ns */
export function rowOf(ns) {
    let row = BOUNDS.length - 1;
    while (row > 0 && ns < BOUNDS[row]) {
        row--;
    }
    return row;
}

/** @param {number} row */
export const rowLabel = (row) => row === 0 ? `below ${format.duration(BOUNDS[1])}`
    : row === BOUNDS.length - 1 ? `${format.duration(BOUNDS[row])} or more` : `${format.duration(BOUNDS[row])} – ${format.duration(BOUNDS[row + 1])}`;

/** Columns lie on fixed times, so that they do not flow as the window moves on. @param {number} from @param {number} to @param {number} columns */
export function columnsAt(from, to, columns) {
    const width = (to - from) / columns;
    const last = Math.floor(to / width);
    return { from: (last - columns + 1) * width, to: (last + 1) * width };
}

/** @param {Mark[]} marks @param {number} from @param {number} to @param {number} columns @returns {Heat} */
export function heatOf(marks, from, to, columns) {
    const counts = new Uint32Array(columns * BOUNDS.length);
    const heat = { from, to, columns, counts, most: 0, total: 0, lowest: BOUNDS.length, highest: -1 };
    for (const { t, pause_ns } of marks) {
        const column = Math.floor((t - from) / (to - from) * columns);
        if (column >= 0 && column < columns) {
            const row = rowOf(pause_ns);
            heat.most = Math.max(heat.most, ++counts[row * columns + column]);
            heat.total++;
            heat.lowest = Math.min(heat.lowest, row);
            heat.highest = Math.max(heat.highest, row);
        }
    }
    return heat;
}

/** 0: nothing, else 1 to SHADES by the logarithm of the count. @param {number} count @param {number} most */
export const shadeOf = (count, most) => count === 0 ? 0
    : most <= 1 ? SHADES : 1 + Math.round((SHADES - 1) * Math.log(count) / Math.log(most));

/** @param {Heat} heat @param {number} column */
export const columnStart = (heat, column) => heat.from + (heat.to - heat.from) * column / heat.columns;

/** What the map shows, for who does not see it. @param {Heat} heat */
export function heatText(heat) {
    if (!heat.total) {
        return "No collection in this time.";
    }
    const rows = [];
    for (let row = heat.highest; row >= heat.lowest; row--) {
        let count = 0;
        let when = 0;
        for (let column = 0; column < heat.columns; column++) {
            const here = heat.counts[row * heat.columns + column];
            count += here;
            when = here ? column : when;
        }
        if (count) {
            rows.push(`${rowLabel(row)}: ${format.exact(count)}, the last about ${format.clock(columnStart(heat, when) * 1000)}`);
        }
    }
    return `${format.plural(heat.total, "pause")}. ${rows.join("; ")}.`;
}

/** The value that so much of the sorted list does not exceed. @param {number[]} sorted @param {number} share */
export const quantile = (sorted, share) => sorted.length ? sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * share) - 1)] : NaN;

/** Counts of each reason. @param {Mark[]} marks @returns {Map<string, number>} */
export function byReason(marks) {
    const counts = new Map();
    marks.forEach(({ reason }) => counts.set(reason, (counts.get(reason) ?? 0) + 1));
    return new Map([...counts].sort(([a], [b]) => reasonOf(a).rank - reasonOf(b).rank));
}
