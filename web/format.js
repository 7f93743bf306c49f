/* Numbers, times and outcomes as text. Pure; units are those of /v1/info's catalogue. */

const GROUPED = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const NOTHING = "–";
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** Three significant digits, without trailing zeros behind a whole number of three.
 * @param {number} n */
function digits(n) {
    const size = Math.abs(n);
    return n.toFixed(size >= 99.95 || n === 0 ? 0 : size >= 9.995 ? 1 : 2);
}

/** @param {number} n @param {number} step @param {string[]} units */
function scaled(n, step, units) {
    let index = 0;
    while (Math.abs(n) >= step && index < units.length - 1) {
        n /= step;
        index++;
    }
    return `${index === 0 && Number.isInteger(n) ? n : digits(n)} ${units[index]}`.trim();
}

/** @param {number|null|undefined} n */
const missing = (n) => n === null || n === undefined || Number.isNaN(n);

/** @param {number|null|undefined} n */
export const bytes = (n) => missing(n) ? NOTHING : scaled(Number(n), 1024, ["B", "KiB", "MiB", "GiB", "TiB"]);

/** Every digit, in groups of three. @param {number|null|undefined} n */
export const exact = (n) => missing(n) ? NOTHING : GROUPED.format(Number(n));

/** Short: 9,999 then 12.3 k. @param {number|null|undefined} n */
export function count(n) {
    if (missing(n)) {
        return NOTHING;
    }
    const size = Number(n);
    return Math.abs(size) < 10_000 ? exact(Math.round(size)) : scaled(size, 1000, ["", "k", "M", "G", "T"]);
}

/** @param {number|null|undefined} n */
export const rate = (n) => missing(n) ? NOTHING : `${count(n)}/s`;

/** @param {number|null|undefined} ns */
export const duration = (ns) => missing(ns) ? NOTHING
    : Number(ns) >= 60e9 ? age(Number(ns) / 1e6) : scaled(Number(ns), 1000, ["ns", "µs", "ms", "s"]);

/** A share of 1. @param {number|null|undefined} n */
export const percent = (n) => missing(n) ? NOTHING : Number(n) > 0 && Number(n) < 0.001 ? "< 0.1 %" : `${digits(100 * Number(n))} %`;

/** How long ago or how long yet, coarsely. @param {number} ms */
export function age(ms) {
    const seconds = Math.max(0, ms) / 1000;
    if (seconds < 60) {
        return `${Math.floor(seconds)} s`;
    }
    return seconds < 3600 ? `${Math.floor(seconds / 60)} min`
        : seconds < 172_800 ? `${Math.floor(seconds / 3600)} h` : `${Math.floor(seconds / 86_400)} days`;
}

/** Local time of day. @param {string|number} when RFC 3339 or ms since 1970 */
export function clock(when) {
    const date = new Date(when);
    return Number.isNaN(date.getTime()) ? NOTHING
        : [date.getHours(), date.getMinutes(), date.getSeconds()].map((n) => String(n).padStart(2, "0")).join(":");
}

/** Local date and time of day; of today the time alone. @param {string|number} when RFC 3339 or ms since 1970 */
export function moment(when) {
    const date = new Date(when);
    const today = date.toDateString() === new Date().toDateString();
    return today || Number.isNaN(date.getTime()) ? clock(when) : `${date.toLocaleDateString("en-US", { month: "short", day: "numeric" })} ${clock(when)}`;
}

/** Local date and time of day. @param {string|number} when RFC 3339 or ms since 1970 */
export function dateTime(when) {
    const date = new Date(when);
    return Number.isNaN(date.getTime()) ? NOTHING
        : `${date.getFullYear()}-${String(date.getMonth() + 1).padStart(2, "0")}-${String(date.getDate()).padStart(2, "0")} ${clock(when)}`;
}

/** A mark of a time axis: the day where marks are days apart, ms where they are closer than a second.
 * @param {number} ms since 1970 @param {number} step between marks, in seconds */
export function axisTime(ms, step) {
    const date = new Date(ms);
    const time = clock(ms);
    if (step < 10_800) {
        return step >= 60 ? time.slice(0, 5) : step < 1 ? `${time}.${String(date.getMilliseconds()).padStart(3, "0")}` : time;
    }
    const day = `${MONTHS[date.getMonth()]} ${date.getDate()}`;
    return step >= 86_400 ? day : `${day} ${time.slice(0, 5)}`;
}

/** Small ones too, for axes. @param {number|null|undefined} n of a hundred */
export const percentage = (n) => missing(n) ? NOTHING : `${digits(Number(n))} %`;

/** A value of the catalogue in its unit. @param {number|null|undefined} n @param {string} unit */
export function inUnit(n, unit) {
    return unit === "bytes" ? bytes(n) : unit === "nanoseconds" ? duration(n) : exact(n);
}

/** The value at a path such as "frees.cycle". @param {object|null} view @param {string} path @returns {any} */
export function at(view, path) {
    return path.split(".").reduce((value, name) => value?.[name], /** @type {any} */ (view));
}

/** Where 0 stands for no limit. @param {number} n @param {(n: number) => string} figure */
export const limit = (n, figure) => n ? figure(n) : "none";

/** @param {number} n @param {string} one */
export const plural = (n, one) => `${exact(n)} ${one}${n === 1 ? "" : /(s|x|ch|sh)$/.test(one) ? "es" : "s"}`;

/** @param {Partial<import("./types").Config>} config */
export function configText(config) {
    const words = [];
    if (typeof config.enabled === "boolean") {
        words.push(`automatic collection ${config.enabled ? "enabled" : "disabled"}`);
    }
    if (config.thresholds) {
        words.push(`thresholds ${config.thresholds.join(" · ")}`);
    }
    if (config.manager) {
        words.push(`manager ${config.manager}`);
    }
    if (config.debug) {
        words.push(`debug ${config.debug.join(", ") || "none"}`);
    }
    if (config.events) {
        words.push(`events ${config.events}`);
    }
    if (typeof config.max_pause_us === "number") {
        words.push(`maximum pause ${limit(config.max_pause_us * 1000, duration)}`);
    }
    if (typeof config.memory_limit_bytes === "number") {
        words.push(`memory limit ${limit(config.memory_limit_bytes, bytes)}`);
    }
    return words.length ? `in force: ${words.join(", ")}` : "in force";
}

/** Kinds that only look. */
const READINGS = new Set(["cycles", "garbage", "referrers", "candidates", "objects"]);

/** What it did. @param {import("./types").Operation} operation */
function done({ kind, result, process_count: processes }) {
    if (READINGS.has(kind)) {
        return "read";
    }
    if (kind === "freeze" || kind === "unfreeze") {
        return result?.frozen === undefined ? "done" : `${plural(result.frozen, "object")} frozen`;
    }
    if (kind === "baseline") {
        return "baseline set";
    }
    if (kind === "find_cycles") {
        return `found ${plural(result?.unreachable ?? 0, "object")} in garbage cycles`;
    }
    if (kind === "snapshot") {
        return `took ${plural(result?.objects ?? 0, "object")}, and stopped the program`;
    }
    if (kind === "garbage_clear") {
        return `${plural(result?.cleared ?? 0, "reference")} given back`;
    }
    if (processes !== undefined && !result) {
        return `done in ${plural(processes, "process")}`;
    }
    const freed = result?.freed_bytes ? ` (${bytes(result.freed_bytes)})` : "";
    return `collected ${plural(result?.collected ?? 0, "object")}${freed}`;
}

/** @param {import("./types").Operation} operation */
function succeeded(operation) {
    if (operation.kind === "config") {
        return configText(operation.result ?? {});
    }
    const pause = !operation.pause_ns ? "" : ` ${operation.kind === "snapshot" ? "for" : "in"} ${duration(operation.pause_ns)}`;
    const wait = !operation.safepoint_wait_ns ? ""
        : `, waited ${duration(operation.safepoint_wait_ns)} for a safepoint`;
    return `${done(operation)}${pause}${wait}`;
}

/** Where an operation is, or what came of it. @param {import("./types").Operation} operation */
export function operationText(operation) {
    const why = operation.detail ?? operation.code;
    switch (operation.state) {
    case "succeeded":
        return succeeded(operation);
    case "failed":
        return `failed: ${why ?? "no reason given"}`;
    case "expired":
        return `expired: ${why ?? `no safepoint within ${duration(operation.deadline_ms * 1e6)}`}`;
    case "waiting_for_safepoint":
        return "waiting for a safepoint";
    default:
        return operation.state;
    }
}
