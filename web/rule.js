/* A rule as a form has it, as the API takes it, and where in the form a refusal belongs. No network, no DOM.
 *
 * What a form does not know (a second control, a debug flag) stays in `rest` as it was, and goes back with the rule. */

import * as format from "./format.js";

/** @typedef {import("./types").Rule} Rule */
/** @typedef {import("./types").Series} Series */
/** @typedef {{name: string, enabled: boolean, process: string, labels: string, series: string, type: string,
 *   condition: string, bound: string, over: string, for: string, log: boolean, alert: boolean, collect: string, setting: string,
 *   value: string, rest: (object|string)[], every: string, limit: string}} Form */

export const CONDITIONS = [
    { word: "above", text: "is above" }, { word: "below", text: "is below" }, { word: "grows_by", text: "grows by" },
    { word: "grows_steadily", text: "grows steadily" }, { word: "grows_by_steadily", text: "grows steadily, and by" },
];

/** What a rule can set. @type {Record<string, {text: string, hint: string, read: (text: string) => any, write: (value: any) => string}>} */
export const SETTINGS = {
    enabled: { text: "automatic collection", hint: "true or false", read: (text) => ({ true: true, false: false })[text], write: String },
    manager: { text: "manager", hint: "none, refcount, generational, cycle or full", read: (text) => text, write: String },
    thresholds: { text: "thresholds", hint: "three numbers, such as 700, 10, 10", read: (text) => text.split(/[\s,]+/).map(Number), write: (value) => value.join(", ") },
    max_pause_us: { text: "maximum pause", hint: "such as 2 ms; 0: no limit", read: (text) => figure(text, "nanoseconds") / 1000, write: (value) => figureText(value * 1000, "nanoseconds") },
    memory_limit_bytes: { text: "memory limit", hint: "such as 512 MiB; 0: no limit", read: (text) => figure(text, "bytes"), write: (value) => figureText(value, "bytes") },
    events: { text: "events", hint: "all or off", read: (text) => text, write: String },
};

const SCALES = /** @type {Record<string, Record<string, number>>} */ ({
    bytes: { B: 1, K: 1024, KIB: 1024, KB: 1000, M: 1024 ** 2, MIB: 1024 ** 2, MB: 1e6, G: 1024 ** 3, GIB: 1024 ** 3, GB: 1e9, T: 1024 ** 4, TIB: 1024 ** 4, TB: 1e12 },
    nanoseconds: { NS: 1, US: 1000, "ΜS": 1000, "µS": 1000, MS: 1e6, S: 1e9, MIN: 60e9, M: 60e9, H: 3600e9 },
    "": { K: 1e3, M: 1e6, G: 1e9 },
});
const BASES = /** @type {Record<string, [number, string][]>} */ ({
    bytes: [[1024 ** 4, "TiB"], [1024 ** 3, "GiB"], [1024 ** 2, "MiB"], [1024, "KiB"]],
    nanoseconds: [[1e9, "s"], [1e6, "ms"], [1e3, "µs"]],
});

/** "bytes a second" is reckoned in bytes. @param {string} unit */
const base = (unit) => unit.startsWith("bytes") ? "bytes" : unit.startsWith("nanoseconds") ? "nanoseconds" : "";

/** A number as people write it: "64 MiB", "5 ms", "10 k", "1,000". NaN where it is none. @param {string} text @param {string} unit */
export function figure(text, unit) {
    const [, number, scale] = /^([\d.,_]+)\s*(\S*)$/.exec(text.trim()) ?? [];
    const by = scale ? SCALES[base(unit)][scale.toUpperCase()] ?? NaN : 1;
    return number ? Number(number.replace(/[,_]/g, "")) * by : NaN;
}

/** The shortest text that figure() reads as exactly this. @param {number} value @param {string} unit */
export function figureText(value, unit) {
    const [by, word] = BASES[base(unit)]?.find(([size]) => value >= size && Number.isInteger(value / size * 1000)) ?? [1, ""];
    return `${value / by} ${word}`.trim();
}

/** @param {number|null|undefined} value @param {string} unit of the API's series */
export function valueText(value, unit) {
    const text = value === null || value === undefined ? "–" : base(unit) ? format.inUnit(value, base(unit)) : format.count(value);
    const what = base(unit) ? "" : ` ${unit.replace(/ a second$/, "")}`;
    return `${text}${what}${unit.endsWith(" a second") ? "/s" : ""}`;
}

/** Where `over` means something, as the API has it. @param {string} series @param {string} condition */
export const hasWindow = (series, condition) => condition.startsWith("grows") || series.endsWith("_per_s")
    || series === "pause_p99_ns" || series === "collections_freeing_nothing";

export const ofTypes = (/** @type {string} */ series) => series.startsWith("type_live_");

/** @type {Form} */
export const NEW = { name: "", enabled: true, process: "", labels: "", series: "live_bytes", type: "", condition: "above", bound: "", over: "",
    for: "", log: false, alert: true, collect: "", setting: "", value: "", rest: [], every: "", limit: "" };

/** @param {Rule} rule @param {Series[]} catalogue @returns {Form} */
export function formOf(rule, catalogue) {
    const { when, selector = {} } = rule;
    const unit = catalogue.find(({ name }) => name === when.series)?.unit ?? "";
    const [word, bound] = Object.entries(when).find(([key]) => ["above", "below", "grows_by"].includes(key)) ?? ["", ""];
    /** @type {Form} */
    const form = { ...NEW, name: rule.name, enabled: rule.enabled, process: selector.name ?? "",
        labels: Object.entries(selector.label ?? {}).map(([key, value]) => `${key}=${value}`).join(", "), series: when.series, type: when.type ?? "",
        condition: when.grows_steadily ? word ? "grows_by_steadily" : "grows_steadily" : word,
        bound: typeof bound === "number" ? figureText(bound, unit) : String(bound), over: when.over ?? "", for: when.for === "0s" ? "" : when.for ?? "",
        log: rule.do.includes("log"), alert: rule.do.includes("alert"), every: rule.every ?? "", limit: String(rule.limit_per_hour ?? ""),
        rest: [] };
    for (const action of rule.do) {
        takeAction(form, action);
    }
    return form;
}

/** @param {Form} form @param {any} action */
function takeAction(form, action) {
    const settings = Object.entries(action.config ?? {});
    if (action.collect && !form.collect && Object.keys(action.collect).every((key) => key === "generation")) {
        form.collect = String(action.collect.generation ?? 2);
    } else if (settings.length === 1 && !form.setting && SETTINGS[settings[0][0]]) {
        form.setting = settings[0][0];
        form.value = SETTINGS[form.setting].write(settings[0][1]);
    } else if (typeof action === "object") {
        form.rest.push(action);
    }
}

/** The API's body. A number that is none goes as its text, so that tallyd says what is wrong with it.
 * @param {Form} form @param {Series[]} catalogue @returns {any} */
export function bodyOf(form, catalogue) {
    const unit = catalogue.find(({ name }) => name === form.series)?.unit ?? "";
    const number = figure(form.bound, unit);
    const bound = Number.isNaN(number) ? form.bound.trim() : number;
    const word = form.condition.replace("_steadily", "");
    const when = { series: form.series, ...ofTypes(form.series) && form.type ? { type: form.type } : {},
        ...form.condition === "grows_steadily" ? {} : { [word]: bound }, ...form.condition.endsWith("steadily") ? { grows_steadily: true } : {},
        ...form.over && hasWindow(form.series, form.condition) ? { over: form.over } : {}, ...form.for ? { for: form.for } : {} };
    const labels = form.labels.split(/[,\n]/).map((pair) => pair.trim()).filter(Boolean).map((pair) => {
        const at = pair.search(/[=:]/);
        return at < 0 ? [pair, ""] : [pair.slice(0, at).trim(), pair.slice(at + 1).trim()];
    });
    const selector = { ...form.process ? { name: form.process } : {}, ...labels.length ? { label: Object.fromEntries(labels) } : {} };
    const actions = [...form.log ? ["log"] : [], ...form.alert ? ["alert"] : [], ...form.collect ? [{ collect: { generation: Number(form.collect) } }] : [],
        ...form.setting ? [{ config: { [form.setting]: setting(form.setting, form.value) } }] : [], ...form.rest];
    return { enabled: form.enabled, selector, when, do: actions, ...form.every ? { every: form.every } : {},
        ...form.limit ? { limit_per_hour: Number.isNaN(Number(form.limit)) ? form.limit : Number(form.limit) } : {} };
}

/** @param {string} name @param {string} text */
function setting(name, text) {
    const value = SETTINGS[name].read(text.trim());
    return value === undefined || Number.isNaN(value) ? text : value;
}

/** @type {Record<string, keyof Form>} */
const FIELDS = { "/name": "name", "/enabled": "enabled", "/selector/name": "process", "/selector/label": "labels", "/when/series": "series", "/when/type": "type",
    "/when/above": "bound", "/when/below": "bound", "/when/grows_by": "bound", "/when/grows_steadily": "condition", "/when/over": "over", "/when/for": "for",
    "/when": "condition", "/do": "log", "/every": "every", "/limit_per_hour": "limit", "/selector": "labels" };
const PLACES = /** @type {Record<string, string>} */ ({ when: "/when", selector: "/selector", "the rule": "", do: "/do" });

/** The field that a refusal is about; "" where it is about none. @param {{pointer?: string, message: string}} problem @returns {keyof Form | ""} */
export function fieldOf({ pointer, message }) {
    const [, member, place] = /member "([\w.]+)"(?: of (when|selector|the rule|do))?/.exec(message) ?? [];
    const path = pointer ?? (member ? `${PLACES[place] ?? ""}/${member.replaceAll(".", "/")}` : /\bof do\b|^"(collect|config)"/.test(message) ? "/do" : "");
    if (/^\/do\/\d+\/collect/.test(path) || message.startsWith("\"collect\"")) {
        return "collect";
    }
    if (/^\/do\/\d+\/config/.test(path) || message.startsWith("\"config\"")) {
        return "value";
    }
    for (let at = path; at; at = at.slice(0, at.lastIndexOf("/"))) {
        if (FIELDS[at]) {
            return FIELDS[at];
        }
    }
    return /^a rule's name/.test(message) ? "name" : "";
}

/** A rule's condition in words. @param {Rule} rule @param {Series[]} catalogue */
export function conditionText(rule, catalogue) {
    const form = formOf(rule, catalogue);
    const text = CONDITIONS.find(({ word }) => word === form.condition)?.text ?? form.condition;
    const bound = /^\d+$/.test(form.bound) ? format.exact(Number(form.bound)) : form.bound;
    const type = ofTypes(form.series) ? ` of ${form.type || "any type"}` : "";
    return `${form.series}${type} ${text}${form.condition === "grows_steadily" ? "" : ` ${bound}`}${form.over ? ` over ${form.over}` : ""}${form.for ? ` for ${form.for}` : ""}`;
}

/** Whom it watches. @param {Rule} rule */
export function selectorText({ selector = {} }) {
    const parts = [selector.name, ...Object.entries(selector.label ?? {}).map(([key, value]) => `${key}=${value}`)].filter(Boolean);
    return parts.length ? parts.join(", ") : "every process";
}

/** What it does. @param {Rule} rule @returns {string} */
export function actionsText(rule) {
    return rule.do.map((/** @type {any} */ action) => typeof action === "string" ? action
        : action.collect ? `collect generation ${action.collect.generation ?? 2}` : format.configText(action.config).replace("in force: ", "set ")).join(", ");
}
