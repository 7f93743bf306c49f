/* The recent past of one process's live bytes, for its row in a list: what was read, and where nobody can say. */

export const SPAN_S = 300;
/** Readings that are nearer to each other cannot be told apart in a row. */
const LEAST_S = 0.9;
/** Longer silence than this, and nobody can say what was in between. */
const GAP_S = 6;

export class History {
    constructor() {
        /** Seconds of the readings, oldest first. @type {number[]} */
        this.times = [];
        /** null: a gap begins. @type {(number|null)[]} */
        this.values = [];
        this.drawnAs = "";
        this.drawn = /** @type {(number|null)[]} */ ([]);
    }

    /** Seconds of the newest reading; -Infinity before the first. */
    get end() {
        return this.times.at(-1) ?? -Infinity;
    }

    /** Adds what was read at `t` seconds. @param {number} t @param {number} value */
    push(t, value) {
        if (t - this.end < LEAST_S) {
            return;
        }
        if (t - this.end > GAP_S) {
            this.gap();
        }
        this.times.push(t);
        this.values.push(value);
        const old = this.times.findIndex((time) => time >= t - SPAN_S - GAP_S);
        this.times.splice(0, old);
        this.values.splice(0, old);
    }

    /** Says that nothing is known after the newest reading. */
    gap() {
        if (this.values.length && this.values.at(-1) !== null) {
            this.times.push(this.end);
            this.values.push(null);
        }
    }

    /** What was at the ends of so many parts of the last `span` seconds, null where nobody can say: the same array while
     * there is nothing new. @param {number} span @param {number} parts @returns {readonly (number|null)[]} */
    course(span, parts) {
        const how = `${this.end} ${this.values.at(-1)} ${span} ${parts}`;
        if (how !== this.drawnAs) {
            this.drawnAs = how;
            this.drawn = Array(parts).fill(null);
            let next = 0;
            let last = /** @type {number|null} */ (null); /* so it was between two readings */
            this.times.forEach((t, row) => {
                const part = parts - 1 - Math.floor((this.end - t) / span * parts);
                if (part >= 0) {
                    this.drawn.fill(last, next, part);
                    this.drawn[part] = this.values[row] ?? this.drawn[part];
                    next = part + 1;
                }
                last = this.values[row];
            });
        }
        return this.drawn;
    }
}
