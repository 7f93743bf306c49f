/* What is not well with tallyd, worst first, and what to do about it: out of /v1/info and its own figures. No network, no DOM. */

import { total } from "./exposition.js";
import * as format from "./format.js";

/** @typedef {{tone: "bad"|"warn"|"note", title: string, advice: string}} Finding */
/** @typedef {Map<string, import("./exposition.js").Family>} Figures */

const NEARLY = 0.8;
const LONG_ROUND_S = 1;
const ORDER = { bad: 0, warn: 1, note: 2 };

/** What a round of a thread is, where it is long. */
const ROUNDS = /** @type {Record<string, string>} */ ({ intake: "a sweep over all heaps", ticker: "a round of the streams", rules: "an evaluation of all rules", history: "a transaction of the history" });

/** @param {any} history @returns {Finding[]} */
function ofHistory(history) {
    if (!history) {
        return [];
    }
    /** @type {Finding[]} */
    const found = [];
    if (history.degraded) {
        found.push({ tone: "bad", title: `The history cannot be written: ${history.why ?? "no reason is known"}.`,
            advice: "Live figures are right. Look at the space and the rights of the state folder; tallyd tries again by itself." });
    } else if (!history.ready && history.figures) {
        found.push({ tone: "warn", title: "The history is not open yet.", advice: "Right after a start that is normal; if it stays so, the log says why." });
    }
    if (history.rows_dropped) {
        found.push({ tone: "warn", title: `${format.exact(history.rows_dropped)} rows of the history were dropped.`, advice: "The disk was slower than what came. Charts of the past have gaps there, and say so." });
    }
    if (history.figures && history.size_bytes && history.bytes > NEARLY * history.size_bytes) {
        found.push({ tone: "note", title: `The history uses ${format.bytes(history.bytes)} of its ${format.bytes(history.size_bytes)}.`, advice: "The oldest rows go first. --history-size allows more." });
    }
    return found;
}

/** @param {Figures} figures @param {Record<string, number>} limits @returns {Finding[]} */
function ofLimits(figures, limits) {
    /** @type {Finding[]} */
    const found = [];
    const near = (/** @type {number|null} */ used, /** @type {number|null|undefined} */ most, /** @type {string} */ what, /** @type {string} */ advice) => {
        if (used !== null && most && used >= NEARLY * most) {
            found.push({ tone: used >= most ? "bad" : "warn", title: `${format.exact(used)} of ${format.exact(most)} ${what} are in use.`, advice });
        }
    };
    near(total(figures, "process_open_fds"), total(figures, "process_max_fds"), "descriptors", "Each program takes some. Raise LimitNOFILE of the service, or ulimit -n.");
    near(total(figures, "tallyd_sse_clients"), limits.streams, "streams", "Each open dashboard and tallyctl tail has one; a hidden tab has none. Close some.");
    return found;
}

/** @param {Figures} figures @returns {Finding[]} */
function ofFigures(figures) {
    /** @type {[name: string, labels: Record<string, string>, tone: Finding["tone"], title: (n: number) => string, advice: string][]} */
    const rows = [
        ["tallyd_rule_windows_dropped", {}, "bad", (n) => `${format.plural(n, "window")} of rules had no room: those rules do not hold there.`, "Use fewer rules of every type, or shorter windows."],
        ["tallyd_alerts_dropped_total", {}, "warn", (n) => `${format.plural(n, "alert")} found no place in the list.`, "A rule fires for very many processes: make its selector narrower."],
        ["tallyd_rule_controls_total", { result: "failed" }, "warn", (n) => `${format.plural(n, "control")} of rules could not be started.`, "The rules' last errors say why."],
        ["tallyd_series_dropped_total", {}, "warn", (n) => `/metrics left ${format.exact(n)} series out.`, "metrics-detail=app shows sums; metrics-series and metrics-process-series are the limits."],
        ["tallyd_rules_throttled_total", {}, "note", (n) => `Rules had to wait for their hourly limit ${n === 1 ? "once" : `${format.exact(n)} times`}.`, "Their condition keeps coming back: their limit, or their cause, is worth a look."],
        ["tallyd_log_lines_left_out_total", {}, "note", (n) => `${format.plural(n, "line")} of the log were held back.`, "Something says the same over and over; what is logged says what."],
    ];
    /** @type {Finding[]} */
    const found = rows.flatMap(([name, labels, tone, title, advice]) => {
        const n = total(figures, name, labels);
        return n ? [{ tone, title: title(n), advice }] : [];
    });
    for (const { labels, value } of figures.get("tallyd_longest_round_seconds")?.samples ?? []) {
        if (value >= LONG_ROUND_S) {
            found.push({ tone: "warn", title: `The longest round of the ${labels.thread} took ${format.duration(value * 1e9)}.`, advice: `That is ${ROUNDS[labels.thread] ?? "a round of work"}. The machine was busy, or asleep, or there is more to do than time.` });
        }
    }
    const failures = figures.get("tallyd_http_requests_total")?.samples.filter(({ labels }) => labels.code[0] === "5").reduce((sum, { value }) => sum + value, 0);
    if (failures) {
        found.push({ tone: "warn", title: `${format.plural(failures, "request")} failed in tallyd itself (5xx).`, advice: "The table of requests says which; the log says why." });
    }
    return found;
}

/** @param {any} info @param {Figures} figures @returns {Finding[]} */
export function findings(info, figures) {
    /** @type {Finding[]} */
    const found = [...ofHistory(info.history), ...ofLimits(figures, info.limits ?? {}), ...ofFigures(figures)];
    for (const { reason, count, last_at: at } of info.refused ?? []) {
        found.push({ tone: "warn", title: `${format.plural(count, "program")} wanted to attach and ${count === 1 ? "was" : "were"} refused: ${reason}.`,
            advice: `${at ? `The last ${format.age(Date.now() - Date.parse(at))} ago. ` : ""}tallyctl doctor, run as the program's user, says what is missing.` });
    }
    if (info.history === null || info.history?.figures === false) {
        found.push({ tone: "note", title: "No history is kept.", advice: "tallyd runs with --no-history: charts go back only as far as this page was open." });
    }
    if (info.sandbox?.detail) {
        found.push({ tone: "note", title: "The sandbox is not whole.", advice: info.sandbox.detail });
    }
    if (info.service === null) {
        found.push({ tone: "note", title: "Nobody looks after this tallyd.", advice: "Under systemd it would be started again, and watched: config/ has the units." });
    }
    return found.sort((a, b) => ORDER[a.tone] - ORDER[b.tone]);
}
