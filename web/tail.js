/* What a live tail of events has brought: the newest rows, in a ring, and an account of all the others. No network, no
 * DOM.
 *
 * A row is an event, or a gap that stands exactly where something is missing. Nothing that came or did not come is left
 * uncounted: came = kept + dropped + passed, and missed and lost are tallyd's own exact counts. */

export const KEPT = 10_000;

/** @typedef {import("./types").StreamEvent} StreamEvent */
/** @typedef {{missed: number, lost: number, passed: number, away_ms: number}} Gap
 * missed   events that fit, but came faster than tallyd tells them to a page
 * lost     overwritten in the program's ring before tallyd read them
 * passed   came while the tail was paused
 * away_ms  how long there was no stream: how many events that were, nobody knows */
/** @typedef {{n: number, event: StreamEvent|null, gap: Gap|null}} Row n counts rows from 1; one of event and gap is there */
/** @typedef {{alloc: number, free_refcount: number, free_cycle: number, bytes: number}} TypeSum */

const noGap = () => ({ missed: 0, lost: 0, passed: 0, away_ms: 0 });

export class Tail {
    /** @param {number} room */
    constructor(room = KEPT) {
        this.room = room;
        this.rows = /** @type {Row[]} */ ([]);
        this.gap = /** @type {Gap|null} */ (null);
        this.paused = false;
        this.count = this.came = this.dropped = this.missed = this.lost = this.passed = this.since = 0;
    }

    /** Begins anew. */
    clear() {
        this.rows = [];
        this.gap = null;
        this.count = this.came = this.dropped = this.missed = this.lost = this.passed = this.since = 0;
    }

    /** Rows that are kept. */
    get length() {
        return Math.min(this.count, this.room);
    }

    /** The row that came `age` rows before the newest, which is 0. @param {number} age @returns {Row} */
    at(age) {
        return this.rows[(this.count - 1 - age) % this.room];
    }

    /** @param {{events: StreamEvent[], missed: number, lost: number}} frame @param {number} now ms */
    take(frame, now) {
        this.since ||= now;
        this.came += frame.events.length;
        this.missed += frame.missed;
        this.lost += frame.lost;
        for (const event of frame.events) {
            if (event.missed_before || event.lost_before) {
                this.#missing({ missed: event.missed_before ?? 0, lost: event.lost_before ?? 0 });
            }
            if (this.paused) {
                this.passed++;
                this.#missing({ passed: 1 });
            } else {
                this.#row(event);
            }
        }
    }

    /** There was no stream for so long. @param {number} ms */
    away(ms) {
        this.#missing({ away_ms: ms });
    }

    /** @param {Partial<Gap>} more */
    #missing(more) {
        const gap = this.gap ??= noGap();
        for (const [name, value] of Object.entries(more)) {
            gap[/** @type {keyof Gap} */ (name)] += value;
        }
    }

    /** @param {StreamEvent} event */
    #row(event) {
        if (this.gap) {
            this.#put(null, this.gap);
            this.gap = null;
        }
        this.#put(event, null);
    }

    /** @param {StreamEvent|null} event @param {Gap|null} gap */
    #put(event, gap) {
        const place = this.count % this.room;
        if (this.count >= this.room && this.rows[place].event) {
            this.dropped++;
        }
        this.rows[place] = { n: ++this.count, event, gap };
    }

    /** What is kept, by type, the most events first. @returns {[string, TypeSum][]} */
    byType() {
        /** @type {Map<string, TypeSum>} */
        const sums = new Map();
        for (let age = 0; age < this.length; age++) {
            const { event } = this.at(age);
            if (event?.type) {
                let sum = sums.get(event.type);
                if (!sum) {
                    sums.set(event.type, sum = { alloc: 0, free_refcount: 0, free_cycle: 0, bytes: 0 });
                }
                sum[/** @type {"alloc"} */ (event.kind)]++;
                sum.bytes += event.kind === "alloc" ? event.bytes ?? 0 : 0;
            }
        }
        const all = (/** @type {TypeSum} */ sum) => sum.alloc + sum.free_refcount + sum.free_cycle;
        return [...sums].sort(([, a], [, b]) => all(b) - all(a));
    }
}

/** A gap in words. @param {Gap} gap @param {{exact: (n: number) => string, duration: (ns: number) => string}} format */
export function gapText({ missed, lost, passed, away_ms }, { exact, duration }) {
    const words = [];
    if (missed) {
        words.push(`${exact(missed)} missed: they came faster than a page is told`);
    }
    if (lost) {
        words.push(`${exact(lost)} lost: overwritten in the program's ring before tallyd read them`);
    }
    if (passed) {
        words.push(`${exact(passed)} passed while the tail was paused`);
    }
    if (away_ms) {
        words.push(`no stream for ${duration(away_ms * 1e6)}`);
    }
    return words.join("; ");
}

/** Exact rates between two views of a process, whatever the tail shows: null where they tell nothing.
 * @param {import("./types").Stats|null} before @param {import("./types").Stats|null} after */
export function ratesOf(before, after) {
    const seconds = before && after ? (after.as_of_mono_ns - before.as_of_mono_ns) / 1e9 : 0;
    if (!before || !after || seconds <= 0 || before.id !== after.id) {
        return null;
    }
    const of = (/** @type {(stats: import("./types").Stats) => number} */ figure) => Math.max(0, figure(after) - figure(before)) / seconds;
    return {
        alloc: of((stats) => stats.allocations), free_refcount: of((stats) => stats.frees.refcount),
        free_cycle: of((stats) => stats.frees.cycle), collection: of((stats) => stats.collections), lost: of((stats) => stats.events.lost),
    };
}
