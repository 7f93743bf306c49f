/* The figures of one process or heap over time: history's answer for the past, the stream's readings since, as columns
 * of at most so many points. Pure.
 *
 * Where nothing is known there is null, never zero: null rows are what charts draw as gaps. Readings of the stream win
 * where both tell; history fills the holes that a hidden tab or a lost link leaves. Rates are exact averages, between
 * counters, over a second at least, and never reach across a gap. */

import { at } from "./format.js";

/** Ranges of an hour follow the stream, a quarter of it from readings. */
export const KEPT_S = 900;
const FASTEST_HZ = 4;
const ROWS = KEPT_S * FASTEST_HZ + 200;
/** Longer silence than this, and nobody can say what was in between. */
const GAP_S = 3.5;
const RATE_WINDOW_S = 0.95;
const SHORTEST_RATE_S = 0.2;

const GAUGES = /** @type {const} */ (["live_bytes", "live_objects", "candidates", "candidates_due", "mapped_bytes", "extern_bytes"]);
export const COUNTERS = /** @type {const} */ (["allocations", "frees.refcount", "frees.cycle", "pause_ns", "collections"]);
const FIGURES = /** @type {const} */ ([...GAUGES, ...COUNTERS]);
/** For ?series= of history. */
export const SERIES = FIGURES.join(",");

/** @typedef {typeof GAUGES[number]} Gauge @typedef {typeof COUNTERS[number]} Counter @typedef {Gauge|Counter} Figure */
/** @typedef {(number|null)[]} Column */
/** Columns as charts take them: of a gauge the last value of each step and its extremes, of a counter its rate a second.
 * @typedef {{t: number[], last: Record<Figure, Column>, low: Record<Gauge, Column>, high: Record<Gauge, Column>,
 *            rate: Record<Counter, Column>}} Shape */
/** @typedef {{at: number[], step_s: number, series: {name: string, last: Column, min: Column|null, max: Column|null}[]}} Answer */
/** A row of either source: when, where its values are. @typedef {{t: number, source: Source, row: number, step: number}} Row */
/** @typedef {{value: (name: Figure, row: number) => number, low: (name: Gauge, row: number) => number, high: (name: Gauge, row: number) => number}} Source */

/** @template {string} N @param {readonly N[]} names @returns {Record<N, Column>} */
const columnsOf = (names) => /** @type {Record<N, Column>} */ (/** @type {unknown} */ (Object.fromEntries(names.map((name) => [name, []]))));

/** @returns {Shape} */
const emptyShape = () => ({ t: [], last: columnsOf(FIGURES), low: columnsOf(GAUGES), high: columnsOf(GAUGES), rate: columnsOf(COUNTERS) });

/** Readings of the stream, the oldest overwritten. */
class Readings {
    constructor() {
        this.count = 0; /* ever pushed */
        this.t = new Float64Array(ROWS);
        this.columns = /** @type {Record<Figure, Float64Array>} */ (Object.fromEntries(FIGURES.map((name) => [name, new Float64Array(ROWS)])));
        this.newest = -Infinity;
    }

    get first() {
        return Math.max(0, this.count - ROWS);
    }

    /** @param {number} t @param {object|null} figures null: a gap */
    push(t, figures) {
        const row = this.count++ % ROWS;
        this.t[row] = this.newest = t;
        for (const name of FIGURES) {
            this.columns[name][row] = figures ? Number(at(figures, name) ?? NaN) : NaN;
        }
    }

    /** @param {number} index */
    time(index) {
        return this.t[index % ROWS];
    }

    /** @param {Figure} name @param {number} index */
    value(name, index) {
        return this.columns[name][index % ROWS];
    }

    /** @param {Gauge} name @param {number} index */
    low(name, index) {
        return this.value(name, index);
    }

    /** @param {Gauge} name @param {number} index */
    high(name, index) {
        return this.value(name, index);
    }

    /** @param {number} index */
    isGap(index) {
        return Number.isNaN(this.columns.live_bytes[index % ROWS]);
    }
}

/** History's answer. */
class Past {
    /** @param {Answer} answer */
    constructor(answer) {
        this.at = answer.at;
        this.step = answer.step_s;
        this.series = Object.fromEntries(answer.series.map((series) => [series.name, series]));
    }

    /** @param {Figure} name @param {number} row */
    value(name, row) {
        return this.series[name]?.last[row] ?? NaN;
    }

    /** @param {Gauge} name @param {number} row */
    low(name, row) {
        return this.series[name]?.min?.[row] ?? this.value(name, row);
    }

    /** @param {Gauge} name @param {number} row */
    high(name, row) {
        return this.series[name]?.max?.[row] ?? this.value(name, row);
    }

    /** @param {number} row */
    isGap(row) {
        return Number.isNaN(this.value("live_bytes", row));
    }
}

export class Track {
    constructor() {
        this.readings = new Readings();
        this.past = /** @type {Past|null} */ (null);
        this.shape = this.fine = emptyShape();
        this.rough = emptyShape();
    }

    /** Rows that the stream has brought since `count` was that. */
    get count() {
        return this.readings.count;
    }

    /** Seconds of the newest reading; -Infinity before the first. */
    get newest() {
        return this.readings.newest;
    }

    /** What was read at `t` seconds; what is not newer than the last is dropped. @param {number} t @param {object} figures */
    push(t, figures) {
        const { readings } = this;
        if (t <= readings.newest) {
            return;
        }
        if (t - readings.newest > GAP_S) {
            this.gap();
        }
        readings.push(t, figures);
    }

    /** Says that nothing is known after the newest reading. */
    gap() {
        const { readings } = this;
        if (readings.count && !readings.isGap(readings.count - 1)) {
            readings.push(readings.newest + 0.001, null);
        }
    }

    /** Takes history's answer in place of the one before. @param {Answer} answer */
    absorb(answer) {
        this.past = new Past(answer);
    }

    /** At most `points` rows of [from, to], and one before it for the first rate. The shape is good until the next call.
     * @param {number} from @param {number} to @param {number} points @returns {Shape} */
    view(from, to, points) {
        return this.#fill(this.fine, from, to, points);
    }

    /** The same in another shape, for tables. @param {number} from @param {number} to @param {number} points */
    coarse(from, to, points) {
        return this.#fill(this.rough, from, to, points);
    }

    /** @param {Shape} shape @param {number} from @param {number} to @param {number} points */
    #fill(shape, from, to, points) {
        this.shape = shape;
        const width = (to - from) / points;
        shape.t.length = 0;
        let step = -Infinity;
        let before = /** @type {Row|null} */ (null);
        for (const row of this.#rows(from - Math.max(1.5, width), to)) {
            if (before && row.t - before.t > Math.max(GAP_S, 1.5 * row.step, 1.5 * before.step)) {
                this.#gapAt(before.t + Math.min(before.step, 1));
                step = -Infinity;
            }
            before = row;
            /* Steps lie on fixed times, so that what is drawn does not shiver as the window moves. */
            const own = Math.floor(row.t / width);
            own === step ? this.#widen(row) : this.#begin(row);
            step = own;
        }
        this.#trim();
        this.#rates();
        return shape;
    }

    /** Rows of both sources by time. @param {number} from @param {number} to @returns {Generator<Row>} */
    *#rows(from, to) {
        const { readings, past } = this;
        let old = past ? lowerBound(past.at, from) : 0;
        let hole = true; /* before this reading history may tell */
        let known = -Infinity; /* the reading before it */
        for (let index = readings.first; index < readings.count; index++) {
            const t = readings.time(index);
            if (readings.isGap(index)) {
                hole = true;
                continue;
            }
            if (hole && past) {
                yield* this.#history(past, old, Math.max(from, known), Math.min(to, t - 0.5));
                old = lowerBound(past.at, t);
            }
            hole = false;
            known = t;
            if (t >= from && t <= to) {
                yield { t, source: readings, row: index, step: 0.25 };
            }
        }
        if (past) {
            yield* this.#history(past, old, Math.max(from, known), to);
        }
    }

    /** @param {Past} past @param {number} row @param {number} after @param {number} until @returns {Generator<Row>} */
    *#history(past, row, after, until) {
        for (; row < past.at.length && past.at[row] <= until; row++) {
            if (past.at[row] > after && !past.isGap(row)) {
                yield { t: past.at[row], source: past, row, step: past.step };
            }
        }
    }

    /** @param {Row} from */
    #begin({ t, source, row }) {
        const { shape } = this;
        const index = shape.t.push(t) - 1;
        for (const name of FIGURES) {
            shape.last[name][index] = known(source.value(name, row));
        }
        for (const name of GAUGES) {
            shape.low[name][index] = known(source.low(name, row));
            shape.high[name][index] = known(source.high(name, row));
        }
    }

    /** @param {Row} from */
    #widen({ t, source, row }) {
        const { shape } = this;
        const index = shape.t.length - 1;
        shape.t[index] = t;
        for (const name of FIGURES) {
            shape.last[name][index] = known(source.value(name, row));
        }
        for (const name of GAUGES) {
            const low = source.low(name, row);
            const high = source.high(name, row);
            shape.low[name][index] = Math.min(shape.low[name][index] ?? low, low);
            shape.high[name][index] = Math.max(shape.high[name][index] ?? high, high);
        }
    }

    /** @param {number} t */
    #gapAt(t) {
        const index = this.shape.t.push(t) - 1;
        for (const columns of [this.shape.last, this.shape.low, this.shape.high]) {
            for (const column of Object.values(columns)) {
                column[index] = null;
            }
        }
    }

    #trim() {
        const { t, ...groups } = this.shape;
        for (const columns of Object.values(groups)) {
            for (const column of Object.values(columns)) {
                column.length = t.length;
            }
        }
    }

    #rates() {
        const { t, last, rate } = this.shape;
        let base = 0;
        for (let row = 0; row < t.length; row++) {
            if (last.allocations[row] === null) {
                base = row + 1;
            }
            while (base < row - 1 && t[row] - t[base + 1] >= RATE_WINDOW_S) {
                base++;
            }
            for (const name of COUNTERS) {
                const grown = base < row ? Number(last[name][row]) - Number(last[name][base]) : -1;
                const elapsed = t[row] - t[base];
                rate[name][row] = last[name][row] === null || elapsed < SHORTEST_RATE_S || grown < 0 ? null : grown / elapsed;
            }
        }
    }
}

/** @param {number} value */
const known = (value) => Number.isNaN(value) ? null : value;

/** The first index whose value is not below. @param {ArrayLike<number>} sorted @param {number} value */
export function lowerBound(sorted, value) {
    let low = 0;
    let high = sorted.length;
    while (low < high) {
        const middle = (low + high) >> 1;
        sorted[middle] < value ? low = middle + 1 : high = middle;
    }
    return low;
}
