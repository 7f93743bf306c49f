/* What a rule's condition comes to now, for one process, from what tallyd says and remembers of it. A rule that is in
 * force looks itself, each second; this is how a rule would look that is being written. No network, no DOM. */

import * as format from "./format.js";
import { hasWindow, ofTypes } from "./rule.js";

const STEPS = 8;
const NO_BOUND = "a bound is missing";
const UNITS = /** @type {Record<string, number>} */ ({ ms: 0.001, s: 1, m: 60, h: 3600, d: 86_400 });

/** @typedef {{series: string, type?: string, above?: number, below?: number, grows_by?: number|string, grows_steadily?: boolean, over?: string}} When */
/** @typedef {{stats?: any, types?: any, collections?: any, history?: any}} Known answers of the routes that needs() names */
/** @typedef {{value: number|null, holds: boolean|null, why: string, type?: string}} Finding holds: null: not known, and why */

/** "90s" in seconds; NaN where it is no time. @param {string} text */
export function secondsOf(text) {
    const [, digits, unit] = /^(\d{1,9})(ms|s|m|h|d)$/.exec(text) ?? [];
    return digits ? Number(digits) * UNITS[unit] : NaN;
}

/** @param {When} when */
const growing = (when) => when.grows_by !== undefined || Boolean(when.grows_steadily);
/** @param {When} when */
const overOf = (when) => secondsOf(when.over ?? (when.series.endsWith("_per_s") ? "10s" : "60s"));

/** Which answers it takes, as paths below the process. @param {When} when @returns {Partial<Record<keyof Known, string>>} */
export function needs(when) {
    const over = overOf(when);
    const rate = when.series.endsWith("_per_s");
    if (rate || growing(when)) {
        const field = { type_live_bytes: "live_bytes", type_live_objects: "live_objects" }[when.series];
        const series = field ? `type:${when.type}.${field}` : when.series.replace(/_per_s$/, "");
        const step = rate ? 1 : Math.max(1, Math.round(over / STEPS));
        return field && !when.type || !(over > 0) ? {} : { history: `/history?series=${encodeURIComponent(series)}&from=-${Math.ceil(rate ? over + 5 : step * (STEPS + 2))}s&step=${step}s&points=1000` };
    }
    if (ofTypes(when.series)) {
        return { types: "/types?limit=1000" };
    }
    return hasWindow(when.series, "above") ? { collections: "/collections?limit=256" } : { stats: "/stats" };
}

/** @param {number} value @param {When} when @param {string} [type] @returns {Finding} */
function compared(value, when, type) {
    const bound = when.above ?? when.below;
    const known = typeof bound === "number";
    return { value, holds: known ? when.above !== undefined ? value > bound : value < bound : null, why: known ? "" : NO_BOUND, type };
}

/** @param {string} why @returns {Finding} */
const unknown = (why) => ({ value: null, holds: null, why });

/** @param {When} when @param {any[]} types @returns {Finding} */
function ofType(when, types) {
    const figure = when.series === "type_live_bytes" ? "live_bytes" : "live_objects";
    const fit = types.filter(({ name }) => !when.type || name === when.type).sort((a, b) => b[figure] - a[figure]);
    const one = when.below !== undefined ? fit.at(-1) : fit[0];
    return one ? compared(one[figure], when, one.name) : unknown(when.type ? `it has no type ${when.type}` : "it has no types yet");
}

/** @param {When} when @param {{collections: any[], as_of_mono_ns: number}} answer @returns {Finding} */
function ofCollections(when, answer) {
    const within = answer.collections.filter(({ start_mono_ns: start }) => answer.as_of_mono_ns - start <= overOf(when) * 1e9);
    if (when.series === "collections_freeing_nothing") {
        const found = within.findIndex(({ collected }) => collected > 0);
        return compared(found < 0 ? within.length : found, when);
    }
    const pauses = within.map(({ pause_ns: pause }) => pause).sort((a, b) => b - a);
    return pauses.length ? compared(pauses[Math.floor(pauses.length / 100)], when) : unknown("no collection within that time");
}

/** @param {When} when @param {any} history @returns {Finding} */
function ofRate(when, history) {
    const { last } = history.series[0];
    const known = history.at.map((/** @type {number} */ t, /** @type {number} */ i) => [t, last[i]]).filter((/** @type {any[]} */ [, value]) => value !== null);
    const end = known.at(-1);
    const start = end && known.findLast((/** @type {number[]} */ [t]) => t <= end[0] - overOf(when));
    return start ? compared(Math.max(0, end[1] - start[1]) / (end[0] - start[0]), when) : unknown("it is not known for so long yet");
}

/** @param {When} when @param {any} history @returns {Finding} */
function ofGrowth(when, history) {
    const { min, last } = history.series[0];
    const floors = (min ?? last).slice(0, -1).slice(-STEPS - 1); /* the last step is not whole yet */
    if (floors.length <= STEPS || floors.includes(null)) {
        return unknown("it is not known for so long yet");
    }
    const growth = floors[STEPS] - floors[0];
    const percent = typeof when.grows_by === "string" && when.grows_by.endsWith("%") ? parseFloat(when.grows_by) : null;
    const bound = when.grows_by === undefined ? -Infinity : percent !== null ? floors[0] * percent / 100 : Number(when.grows_by);
    const steps = floors.slice(1).map((/** @type {number} */ floor, /** @type {number} */ i) => floor - floors[i]);
    const steadily = steps.every((/** @type {number} */ step) => step >= 0) && steps.filter((/** @type {number} */ step) => step > 0).length >= STEPS - 2;
    if (Number.isNaN(bound) || when.grows_by === "") {
        return { value: growth, holds: null, why: NO_BOUND };
    }
    return { value: growth, holds: growth > 0 && growth >= bound && (!when.grows_steadily || steadily), why: "" };
}

/** @param {When} when @param {Known} known @returns {Finding} */
export function evaluate(when, { stats, types, collections, history }) {
    if (history) {
        return history.series?.[0] ? when.series.endsWith("_per_s") ? ofRate(when, history) : ofGrowth(when, history) : unknown("history does not know it");
    }
    if (types) {
        return ofType(when, types.types);
    }
    if (collections) {
        return ofCollections(when, collections);
    }
    const value = stats && format.at(stats, when.series);
    return typeof value === "number" ? compared(value, when)
        : unknown(ofTypes(when.series) ? "of any type, growth is told once the rule is in force" : "it is not known yet");
}
