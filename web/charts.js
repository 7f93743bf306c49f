/* The live charts: uPlot with what all of them share, cursors and the time axis among it.
 *
 * A chart draws a History as it is; NaN rows are gaps. Colours come from the style sheet's variables, so a chart
 * is made anew when the colour scheme changes. */

import uPlot from "./vendor/uplot.js";
import * as format from "./format.js";
import { SPAN_S } from "./series.js";

const SHORTEST_SPAN_S = 60;
const HEIGHT = 170;
const DESCRIBE_EVERY_MS = 5000;
const POWERS_OF_TWO = Array.from({ length: 50 }, (_, index) => 2 ** index);

/** @typedef {{column: import("./series.js").Column, label: string, colour: string, dash?: number[], fill?: string}} Line */
/** @typedef {{id: string, title: string, help: string, unit: "bytes"|"objects"|"rate", lines: Line[]}} Spec */

/** Titles and words come from the catalogue's fields. @param {(path: string) => import("./types").Field} field @returns {Spec[]} */
export function chartSpecs(field) {
    return [
        { id: "live_bytes", title: field("live_bytes").label, help: field("live_bytes").help, unit: "bytes",
            lines: [{ column: "live_bytes", label: "", colour: "--blue", fill: "--blue-fill" }] },
        { id: "live_objects", title: field("live_objects").label, help: field("live_objects").help, unit: "objects",
            lines: [{ column: "live_objects", label: "", colour: "--green", fill: "--green-fill" }] },
        { id: "allocation_rate", title: "Allocation rate", help: "Objects allocated in a second.", unit: "rate",
            lines: [{ column: "allocation_rate", label: "", colour: "--violet", fill: "--violet-fill" }] },
        { id: "free_rate", title: "Free rate", help: "Objects freed in a second, by what freed them.", unit: "rate",
            lines: [{ column: "refcount_rate", label: "by count", colour: "--blue" },
                { column: "cycle_rate", label: "by cycle", colour: "--orange", dash: [5, 3] }] },
    ];
}

const FORMATS = { bytes: format.bytes, objects: format.count, rate: format.rate };

/** @param {string} name */
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** @param {string} tag @param {string} className @param {string} [text] */
function element(tag, className, text = "") {
    const made = document.createElement(tag);
    made.className = className;
    made.textContent = text;
    return made;
}

export class LiveChart {
    /** Fills `host`, a figure. @param {HTMLElement} host @param {Spec} spec */
    constructor(host, spec) {
        this.spec = spec;
        this.history = /** @type {import("./series.js").History|null} */ (null);
        this.marks = /** @type {{t: number, generation: number}[]} */ ([]);
        this.describedAt = -Infinity;
        this.data = /** @type {(number|null)[][]} */ ([[], ...spec.lines.map(() => [])]);
        this.values = spec.lines.map(() => element("span", "value", "–"));
        this.plot = element("div", "plot");
        this.plot.setAttribute("role", "img");
        host.replaceChildren(this.#caption(), this.plot);
        this.chart = this.#make();
        this.resized = new ResizeObserver(() => this.#resize());
        this.resized.observe(this.plot);
    }

    destroy() {
        this.resized.disconnect();
        this.chart.destroy();
    }

    /** Takes the colours of the scheme that is now in force. */
    recolour() {
        this.chart.destroy();
        this.chart = this.#make();
        this.draw(this.history, this.marks);
    }

    /** @param {import("./series.js").History|null} history @param {{t: number, generation: number}[]} marks */
    draw(history, marks) {
        this.history = history;
        this.marks = marks;
        this.#fill(this.data[0], history?.values("t"));
        this.spec.lines.forEach((line, index) => this.#fill(this.data[index + 1], history?.values(line.column)));
        this.chart.setData(/** @type {uPlot.AlignedData} */ (/** @type {unknown} */ (this.data)));
        this.#readOut();
        if (performance.now() - this.describedAt > DESCRIBE_EVERY_MS) {
            this.describedAt = performance.now();
            this.plot.setAttribute("aria-label", this.#describe());
        }
    }

    /** uPlot knows gaps as null, which typed arrays cannot hold. @param {(number|null)[]} out @param {Float64Array} [column] */
    #fill(out, column) {
        out.length = column?.length ?? 0;
        for (let row = 0; row < out.length; row++) {
            const value = /** @type {Float64Array} */ (column)[row];
            out[row] = Number.isNaN(value) ? null : value;
        }
    }

    #caption() {
        const caption = element("figcaption", "");
        const title = element("h3", "", this.spec.title);
        title.title = this.spec.help;
        caption.append(title);
        this.spec.lines.forEach((line, index) => {
            const entry = element("span", "entry");
            if (line.label) {
                const swatch = element("i", "swatch");
                swatch.style.borderTop = `2px ${line.dash ? "dashed" : "solid"} var(${line.colour})`;
                entry.append(swatch, element("span", "", line.label));
            }
            entry.append(this.values[index]);
            caption.append(entry);
        });
        return caption;
    }

    #make() {
        const chart = new uPlot(this.#options(), /** @type {any} */ (this.data), this.plot);
        chart.ctx.canvas.dataset.chart = this.spec.id;
        return chart;
    }

    /** @returns {uPlot.Options} */
    #options() {
        const { unit, lines } = this.spec;
        const axis = { stroke: colour("--muted"), font: "11px system-ui, sans-serif", ticks: { show: false },
            grid: { stroke: colour("--grid"), width: 1 } };
        return {
            width: this.plot.clientWidth || 300, height: HEIGHT, padding: [8, 26, 0, 0], legend: { show: false },
            cursor: { y: false, drag: { x: false, y: false }, sync: { key: "tally" }, points: { size: 7 } },
            scales: { x: { time: true, range: () => this.#span() }, y: { range: (_, __, max) => [0, max > 0 ? max * 1.12 : 1] } },
            axes: [
                { ...axis, space: 90, size: 26, values: (_, splits) => splits.map((t) => format.clock(t * 1000)) },
                { ...axis, space: 34, size: 66, gap: 4, incrs: unit === "bytes" ? POWERS_OF_TWO : undefined,
                    values: (_, splits) => splits.map((n) => FORMATS[unit](n)) },
            ],
            series: [{}, ...lines.map((line) => ({ label: line.label, stroke: colour(line.colour), width: 1.5, dash: line.dash,
                fill: line.fill && colour(line.fill), points: { show: false }, spanGaps: false }))],
            hooks: { drawClear: [(chart) => this.#drawMarks(chart)], setCursor: [() => this.#readOut()] },
        };
    }

    /** As much of the past as there is, between one minute and five. @returns {[number, number]} */
    #span() {
        const end = this.history?.length ? this.history.end : Date.now() / 1000;
        const start = this.history?.length ? this.history.values("t")[0] : end;
        return [end - Math.min(SPAN_S, Math.max(SHORTEST_SPAN_S, end - start)), end];
    }

    /** Collections: a line for the oldest generation, a tick for younger ones, at most one a pixel. @param {uPlot} chart */
    #drawMarks(chart) {
        const { ctx, bbox } = chart;
        const [start, end] = this.#span();
        const taken = new Set();
        ctx.save();
        ctx.fillStyle = colour("--mark");
        for (const { t, generation } of this.marks) {
            const x = Math.round(bbox.left + (t - start) / (end - start) * bbox.width);
            if (t >= start && t <= end && !taken.has(x)) {
                taken.add(x);
                const height = generation >= 2 ? bbox.height : Math.round(3.5 * devicePixelRatio * (generation + 1));
                ctx.fillRect(x, bbox.top + bbox.height - height, Math.max(1, Math.round(devicePixelRatio)), height);
            }
        }
        ctx.restore();
    }

    /** The values under the cursor, or the newest. */
    #readOut() {
        const rows = this.data[0].length;
        const row = this.chart?.cursor.idx ?? rows - 1;
        this.values.forEach((value, index) => {
            value.textContent = FORMATS[this.spec.unit](this.data[index + 1][row]);
        });
    }

    #describe() {
        const text = FORMATS[this.spec.unit];
        const parts = this.spec.lines.map((line, index) => {
            const known = /** @type {number[]} */ (this.data[index + 1].filter((value) => value !== null));
            return known.length === 0 ? `${line.label} no data` : `${line.label} now ${text(known[known.length - 1])}, between `
                + `${text(known.reduce((a, b) => Math.min(a, b)))} and ${text(known.reduce((a, b) => Math.max(a, b)))}`;
        });
        return `${this.spec.title}: ${parts.join("; ").trim()}`;
    }

    #resize() {
        if (this.plot.clientWidth && this.plot.clientWidth !== this.chart.width) {
            this.chart.setSize({ width: this.plot.clientWidth, height: HEIGHT });
        }
    }
}

/** A process's live bytes in the list: shape only, no axes. @param {HTMLCanvasElement} canvas @param {import("./series.js").History} history */
export function drawSparkline(canvas, history) {
    const scale = devicePixelRatio;
    const width = canvas.clientWidth * scale;
    const height = canvas.clientHeight * scale;
    if (canvas.width !== width || canvas.height !== height) {
        canvas.width = width;
        canvas.height = height;
    }
    const context = canvas.getContext("2d");
    const times = history.values("t");
    const bytes = history.values("live_bytes");
    if (!context || times.length < 2) {
        return;
    }
    const end = history.end;
    const start = Math.max(times[0], end - SPAN_S);
    const top = bytes.reduce((most, value) => value > most ? value : most, 1);
    context.clearRect(0, 0, width, height);
    context.strokeStyle = colour("--blue");
    context.lineWidth = 1.25 * scale;
    context.beginPath();
    let pen = false;
    for (let row = 0; row < times.length; row++) {
        const x = (times[row] - start) / (end - start) * width;
        const y = height - 1 - bytes[row] / top * (height - 3);
        if (Number.isNaN(y) || x < 0) {
            pen = false;
        } else {
            pen ? context.lineTo(x, y) : context.moveTo(x, y);
            pen = true;
        }
    }
    context.stroke();
}
