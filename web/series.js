/* The recent past of one process: counters as they were read, and the rates between them, in columns.
 *
 * Rows are in order of time; a row of NaN is a gap, which charts draw as one. Rates are exact averages over about
 * a second and never reach across a gap. */

export const SPAN_S = 300;
const FASTEST_HZ = 4;
const LONGEST = SPAN_S * FASTEST_HZ + 100;
const RATE_WINDOW_S = 0.95;
/** A rate over less than this is noise. */
const SHORTEST_RATE_S = 0.2;
/** Longer silence than this, and nobody can say what was in between. */
export const GAP_S = 3;

const COLUMNS = /** @type {const} */ (["t", "live_bytes", "live_objects", "allocations", "frees_refcount",
    "frees_cycle", "allocation_rate", "refcount_rate", "cycle_rate"]);
const COUNTERS = /** @type {const} */ ([["allocations", "allocation_rate"], ["frees_refcount", "refcount_rate"],
    ["frees_cycle", "cycle_rate"]]);

/** @typedef {typeof COLUMNS[number]} Column */
/** @typedef {{live_bytes: number, live_objects: number, allocations: number, frees: {refcount: number, cycle: number}}} Figures */

export class History {
    constructor() {
        this.length = 0;
        this.first = 0;
        this.room = 128;
        /** @type {Record<Column, Float64Array>} */
        this.columns = /** @type {any} */ ({});
        for (const name of COLUMNS) {
            this.columns[name] = new Float64Array(this.room);
        }
    }

    /** Present values, oldest first; valid until the next push. @param {Column} name */
    values(name) {
        return this.columns[name].subarray(this.first, this.first + this.length);
    }

    /** The newest value; NaN after a gap or before the first. @param {Column} name */
    latest(name) {
        return this.length ? this.columns[name][this.first + this.length - 1] : NaN;
    }

    /** Seconds of the newest row, gaps included; -Infinity when empty. */
    get end() {
        return this.length ? this.latest("t") : -Infinity;
    }

    /** Adds what was read at `t` seconds; rows that are not newer than the last are dropped.
     * @param {number} t @param {Figures} figures */
    push(t, figures) {
        if (t <= this.end) {
            return;
        }
        if (t - this.end > GAP_S) {
            this.gap();
        }
        const row = this.#append(t);
        this.columns.live_bytes[row] = figures.live_bytes;
        this.columns.live_objects[row] = figures.live_objects;
        this.columns.allocations[row] = figures.allocations;
        this.columns.frees_refcount[row] = figures.frees.refcount;
        this.columns.frees_cycle[row] = figures.frees.cycle;
        this.#rates(row);
    }

    /** Says that nothing is known after the newest row. */
    gap() {
        if (this.length && !Number.isNaN(this.latest("live_bytes"))) {
            const row = this.#append(this.end + 0.001);
            for (const name of COLUMNS.slice(1)) {
                this.columns[name][row] = NaN;
            }
        }
    }

    /** @param {number} row */
    #rates(row) {
        const { t } = this.columns;
        let base = row;
        while (base > this.first && !Number.isNaN(this.columns.allocations[base - 1]) && t[row] - t[base] < RATE_WINDOW_S) {
            base--;
        }
        for (const [counter, name] of COUNTERS) {
            const grown = this.columns[counter][row] - this.columns[counter][base];
            const elapsed = t[row] - t[base];
            this.columns[name][row] = elapsed < SHORTEST_RATE_S || grown < 0 ? NaN : grown / elapsed;
        }
    }

    /** @param {number} t */
    #append(t) {
        if (this.length && this.columns.t[this.first] < t - SPAN_S - 1 || this.length === LONGEST) {
            this.first++;
            this.length--;
        }
        if (this.first + this.length === this.room) {
            this.#makeRoom();
        }
        const row = this.first + this.length++;
        this.columns.t[row] = t;
        return row;
    }

    /** Moves the rows to the front, of longer columns where they are more than half full. */
    #makeRoom() {
        const longer = this.length * 2 > this.room;
        this.room = longer ? this.room * 2 : this.room;
        for (const name of COLUMNS) {
            const rows = this.values(name);
            const column = longer ? new Float64Array(this.room) : this.columns[name];
            column.set(rows);
            this.columns[name] = column;
        }
        this.first = 0;
    }
}
