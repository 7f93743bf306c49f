/* The recent past of many types, for those alone whose rows are drawn: asked of history a few in one request, with what
 * the page saw itself where history has none of its own (it keeps the largest types). */

import * as api from "./api.js";

const SERIES_CHARS = 900; /* the parameter takes 1000 */
const ASK_AFTER_MS = 80;
const OLD_MS = 20_000;
const SAMPLES = 60;
const POINTS = 60;
const SPAN = "-15m";

export class Sparks {
    /** @param {string} path of the process or heap @param {() => void} changed */
    constructor(path, changed) {
        this.path = path;
        this.changed = changed;
        this.over = new AbortController();
        this.known = /** @type {Map<string, {values: (number|null)[], at: number}>} */ (new Map());
        this.seen = /** @type {Map<string, number[]>} */ (new Map());
        this.due = /** @type {Set<string>} */ (new Set());
        this.timer = /** @type {ReturnType<typeof setTimeout>|undefined} */ (undefined);
        this.off = false;
    }

    end() {
        clearTimeout(this.timer);
        this.over.abort();
    }

    /** Keeps what was read. @param {readonly {name: string, live_bytes: number}[]} rows */
    sample(rows) {
        for (const { name, live_bytes } of rows) {
            const values = this.seen.get(name);
            if (!values) {
                this.seen.set(name, [live_bytes]);
            } else if (values.push(live_bytes) > SAMPLES) {
                values.shift();
            }
        }
    }

    /** What is known of one, which is looked at. @param {string} name @returns {readonly (number|null)[]} */
    of(name) {
        const known = this.known.get(name);
        if (!this.off && !name.includes(",") && (!known || Date.now() - known.at > OLD_MS)) {
            this.due.add(name);
            this.timer ??= setTimeout(() => this.#ask(), ASK_AFTER_MS);
        }
        return known && known.values.some((value) => value !== null) ? known.values : this.seen.get(name) ?? [];
    }

    async #ask() {
        const names = [];
        let chars = 0;
        for (const name of this.due) {
            chars += name.length + 18;
            if (chars > SERIES_CHARS && names.length) {
                break;
            }
            names.push(name);
            this.due.delete(name);
        }
        const series = names.map((name) => `type:${name}.live_bytes`).join(",");
        try {
            const answer = document.hidden ? null : await api.get(`${this.path}/history?${new URLSearchParams({ series, from: SPAN, points: String(POINTS) })}`, this.over.signal);
            const at = Date.now();
            names.forEach((name) => this.known.set(name, { values: answer?.series.find((/** @type {any} */ one) => one.name === `type:${name}.live_bytes`)?.last ?? [], at }));
        } catch (problem) {
            this.off = problem instanceof api.Problem && problem.code === "history_off";
            names.forEach((name) => this.known.set(name, { values: [], at: Date.now() }));
        }
        this.timer = undefined;
        if (!this.over.signal.aborted) {
            if (this.due.size) {
                this.timer = setTimeout(() => this.#ask(), ASK_AFTER_MS);
            }
            this.changed();
        }
    }
}
