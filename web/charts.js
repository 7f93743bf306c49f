/* A chart: uPlot with what all of ours share. It draws a scene (figures, marks, a window), says it in words and as a
 * table, and is zoomed by pointer and by keyboard. What it shows is the scene's; it keeps no state but the cursor.
 *
 * The plot is a slider to assistive technology: arrows move a reading cursor through time, and its text is the reading.
 * Colours come from the style sheet's variables, so a chart is made anew when the scheme changes. */

import uPlot from "./vendor/uplot.js";
import { download } from "./download.js";
import { colour, drawLimits, drawMarks, drawPoints, hairlines, picture } from "./paint.js";
import * as format from "./format.js";
import { reasonOf } from "./reasons.js";
import { csvOf } from "./rows.js";

const DESCRIBE_EVERY_MS = 4000;
const ROOM_ABOVE = 1.15;
const LANE_PX = 12; /* above the figures: where collections are marked */
const RIGHT_PX = 14;
const LETTER_PX = 6.6; /* of an axis, about */
const POWERS_OF_TWO = Array.from({ length: 50 }, (_, index) => 2 ** index);
const TABLE_ROWS = 60;
const SVG = "http://www.w3.org/2000/svg";

/** @typedef {import("./types").Stats|import("./types").HeapStats} Heap */
/** @typedef {import("./track.js").Shape} Shape @typedef {import("./track.js").Column} Column */
/** @typedef {{t: number, reason: string, generation: number, pause_ns: number, collected: number, freed_bytes: number, key: string}} Mark */
/** @typedef {{label: string, value: number, colour: string, always?: boolean}} Limit a line across; always: within the axis whatever its height */
/** @typedef {"bytes"|"objects"|"rate"|"percent"|"nanoseconds"} Unit */
/** @typedef {{label: string, colour: string, dash?: number[], fill?: string, of: (shape: Shape, scene: Scene) => Column,
 *             band?: (shape: Shape) => [low: Column, high: Column]}} Line */
/** points: marks are drawn at their pauses, on a logarithmic axis. strip: they are all there is, and each is a bar as wide
 * as it took; the shape's times are those of the marks, oldest first.
 * @typedef {{id: string, title: string, help: string, unit: Unit, lines: Line[], points?: boolean, strip?: boolean, height?: number,
 *             limits?: (scene: Scene) => Limit[]}} Spec */
/** coarse: the same figures in few rows, for a table.
 * @typedef {{from: number, to: number, shape: Shape, coarse: (rows: number) => Shape, marks: Mark[],
 *             stats: Heap|null}} Scene stats: what is in force */
/** @typedef {{onZoom: (from: number, to: number) => void, onReset: () => void, onKey: (event: KeyboardEvent, at: number|null) => boolean,
 *             onPick: (mark: Mark) => void, onTable: (id: string) => void, sync: string, name: () => string}} Owner */

/** @type {Record<Unit, (n: number|null|undefined) => string>} */
const TEXT = { bytes: format.bytes, objects: format.count, rate: format.rate, percent: format.percentage, nanoseconds: format.duration };

/** @param {number} t */
const isoOf = (t) => new Date(t * 1000).toISOString();

/** @param {string} tag @param {string} className @param {string} [text] */
function element(tag, className, text = "") {
    const made = document.createElement(tag);
    made.className = className;
    made.textContent = text;
    return made;
}

export class Plot {
    /** Fills `host`, a figure. @param {HTMLElement} host @param {Spec} spec @param {Owner} owner */
    constructor(host, spec, owner) {
        this.spec = spec;
        this.owner = owner;
        this.height = spec.height ?? 176;
        this.scene = /** @type {Scene|null} */ (null);
        this.limits = /** @type {Limit[]} */ ([]);
        this.ends = spec.points ? { low: 1e3, high: 1e6 } : { low: 0, high: 1 };
        this.describedAt = -Infinity;
        this.data = /** @type {any} */ ([[], ...this.#columns(null)]);
        this.values = spec.lines.map(() => element("span", "value", "–"));
        this.plot = element("div", "plot blank");
        this.plot.style.height = `${this.height}px`;
        this.words = element("p", "unseen");
        this.words.id = `words-${spec.id}`;
        this.table = element("div", "scroll chart-table");
        this.note = element("span", "note");
        this.#slider();
        this.table.addEventListener("keydown", ({ key }) => key === "t" && owner.onTable(spec.id));
        host.replaceChildren(this.#caption(), this.plot, this.table, this.words);
        this.table.hidden = true;
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
        if (this.scene) {
            this.draw(this.scene);
        }
    }

    /** @param {Scene} scene */
    draw(scene) {
        this.scene = scene;
        this.plot.classList.remove("blank"); /* uPlot's axes of nothing mean nothing */
        this.limits = this.spec.limits?.(scene) ?? [];
        this.data[0] = scene.shape.t;
        this.#columns(scene.shape).forEach((column, index) => { this.data[index + 1] = column; });
        this.#measure();
        this.chart.setData(this.data);
        this.#readOut();
        if (performance.now() - this.describedAt > DESCRIBE_EVERY_MS) {
            this.describe();
        }
    }

    /** Says anew what is shown, at once: after a zoom. */
    describe() {
        this.describedAt = performance.now();
        this.words.textContent = this.#summary();
        this.#say();
        if (!this.table.hidden) {
            this.#fillTable();
        }
    }

    /** @param {boolean} shown */
    showTable(shown) {
        if (this.table.hidden === shown) {
            const held = document.activeElement === (shown ? this.plot : this.table);
            this.table.hidden = !shown;
            this.plot.classList.toggle("away", shown);
            this.tableButton?.setAttribute("aria-pressed", String(shown));
            this.describe();
            this.#resize();
            held && (shown ? this.table : this.plot).focus(); /* what has the focus does not vanish with it */
        }
    }

    /** A mark further, on a strip. @param {number} by */
    stepMark(by) {
        const times = this.scene?.shape.t ?? [];
        const index = (this.chart.cursor.idx ?? times.length) + by;
        this.moveCursor(times[Math.min(times.length - 1, Math.max(0, index))] ?? null);
    }

    /** Moves the reading cursor to a time, on all charts; null: away. @param {number|null} t */
    moveCursor(t) {
        const left = t === null ? -10 : this.chart.valToPos(t, "x");
        /** @type {any} */ (this.chart).setCursor({ left, top: t === null ? -10 : this.height / 2 }, true, true);
        this.#say();
    }

    /** The time under the reading cursor. */
    get cursorTime() {
        const index = this.chart?.cursor.idx; /* uPlot calls back before it is made */
        return index === null || index === undefined ? null : this.scene?.shape.t[index] ?? null;
    }

    /** As many columns as lines, and extremes behind those that have some. @param {Shape|null} shape @returns {Column[]} */
    #columns(shape) {
        return this.spec.lines.flatMap((line) => shape === null ? (line.band ? [[], [], []] : [[]])
            : line.band ? [line.of(shape, /** @type {Scene} */ (this.scene)), ...line.band(shape)] : [line.of(shape, /** @type {Scene} */ (this.scene))]);
    }

    #slider() {
        const { plot, spec } = this;
        plot.tabIndex = 0;
        plot.setAttribute("role", "slider");
        plot.setAttribute("aria-label", spec.title);
        plot.setAttribute("aria-describedby", this.words.id);
        plot.setAttribute("aria-valuenow", "0");
        plot.addEventListener("keydown", (event) => this.owner.onKey(event, this.cursorTime) && event.preventDefault());
        plot.addEventListener("blur", () => this.moveCursor(null));
        plot.addEventListener("click", (event) => this.#click(event));
    }

    /** The title and what one can do with the chart; below, what it reads. */
    #caption() {
        const caption = element("figcaption", "");
        const head = element("span", "head");
        const title = element("h3", "", this.spec.title);
        const reading = element("span", "reading");
        title.title = this.spec.help;
        this.spec.lines.forEach((line, index) => {
            const entry = element("span", "entry");
            if (line.label) {
                const swatch = element("i", "swatch");
                swatch.style.borderTop = `2px ${line.dash ? "dashed" : "solid"} var(${line.colour})`;
                entry.append(swatch, element("span", "", line.label));
            }
            entry.append(this.values[index]);
            reading.append(entry);
        });
        this.tableButton = this.#tool("Table", "The figures as a table", "M1 2h12v10H1zM1 5.3h12M1 8.6h12M5 2v10", () => this.owner.onTable(this.spec.id));
        this.tableButton.setAttribute("aria-pressed", "false");
        const tools = element("span", "tools");
        tools.append(this.tableButton, this.#tool("CSV", "All points as CSV, to a file", "M7 1v8M3.6 6 7 9.4 10.4 6M1.5 12.5h11", () => this.#csv()),
            this.#tool("PNG", "A picture, to a file", "M1 2h12v10H1zM1 10l3.5-4 3 3.4L9.5 7 13 10.5", () => this.#png()));
        head.append(title, tools);
        reading.append(this.note);
        caption.append(head, reading);
        return caption;
    }

    /** @param {string} text @param {string} what @param {string} path of its picture @param {() => void} act */
    #tool(text, what, path, act) {
        const button = /** @type {HTMLButtonElement} */ (element("button", "tool"));
        const picture = document.createElementNS(SVG, "svg");
        const line = document.createElementNS(SVG, "path");
        button.type = "button";
        button.title = what;
        button.setAttribute("aria-label", `${text} of ${this.spec.title}`);
        picture.setAttribute("viewBox", "0 0 14 14");
        picture.setAttribute("aria-hidden", "true");
        line.setAttribute("d", path);
        picture.append(line);
        button.append(picture);
        button.addEventListener("click", act);
        return button;
    }

    #make() {
        const chart = new uPlot(this.#options(), this.data, this.plot);
        chart.ctx.canvas.dataset.chart = this.spec.id;
        return chart;
    }

    /** @returns {uPlot.Options} */
    #options() {
        const { unit, points } = this.spec;
        const axis = { stroke: colour("--muted"), font: "11px system-ui, sans-serif", ticks: { show: false },
            grid: { stroke: colour("--grid"), width: 1 } };
        const decades = points ? { filter: onlyDecades, grid: { ...axis.grid, filter: onlyDecades } } : {};
        return {
            width: this.plot.clientWidth || 300, height: this.height, padding: [LANE_PX, RIGHT_PX, 0, 0], legend: { show: false },
            cursor: { y: false, drag: { x: true, y: false, setScale: false, dist: 4 }, points: { size: 7 },
                sync: { key: this.owner.sync, setSeries: false, filters: { pub: () => true, sub: (type) => type === "mousemove" } },
                bind: { dblclick: () => () => { this.owner.onReset(); return null; } } },
            scales: { x: { time: true, range: () => [this.scene?.from ?? 0, this.scene?.to ?? 1] },
                y: { distr: points ? 3 : 1, log: 10, range: () => [this.ends.low, this.ends.high] } },
            axes: [
                { ...axis, space: (_, __, from, to, length) => roomOf((to - from) / length), size: 26, values: (chart, splits, __, ___, step) => splits.map((t) => whole(chart, t, format.axisTime(t * 1000, step))) },
                { ...axis, ...decades, space: points ? 24 : 34, size: 66, gap: 4, incrs: unit === "bytes" ? POWERS_OF_TWO : undefined,
                    values: (_, splits) => splits.map((n) => n === null ? "" : TEXT[unit](n)) },
            ],
            ...this.#series(),
            hooks: { drawClear: [(chart) => this.scene && hairlines(chart, this.scene)], draw: [(chart) => this.#paint(chart)],
                setCursor: [() => this.#readOut()], setSelect: [(chart) => this.#selected(chart)] },
        };
    }

    /** @returns {{series: uPlot.Series[], bands: uPlot.Band[]}} */
    #series() {
        const series = /** @type {uPlot.Series[]} */ ([{}]);
        const bands = /** @type {uPlot.Band[]} */ ([]);
        for (const line of this.spec.lines) {
            series.push({ label: line.label, stroke: this.spec.strip ? "transparent" : colour(line.colour), width: 1.5, dash: line.dash, fill: line.fill && colour(line.fill),
                points: { show: (_, __, from, to) => !this.spec.strip && to - from < 2 }, spanGaps: false });
            if (line.band) {
                const edge = { stroke: colour(line.colour), width: 0.5, alpha: 0.55, points: { show: false }, spanGaps: false };
                series.push({ ...edge, label: "least" }, { ...edge, label: "most" });
                bands.push({ series: [series.length - 1, series.length - 2], fill: colour(line.fill ?? line.colour) });
            }
        }
        return { series, bands };
    }

    /** @param {uPlot} chart */
    #paint(chart) {
        if (this.scene) {
            drawLimits(chart, this.limits.filter(({ value }) => value >= this.ends.low && value <= this.ends.high), TEXT[this.spec.unit]);
            this.spec.strip || drawMarks(chart, this.scene, LANE_PX);
            if (this.spec.points) {
                drawPoints(chart, this.scene, this.spec.strip);
            }
        }
    }

    /** The ends of the value axis: from zero to a little above the most, or whole decades. */
    #measure() {
        const scene = /** @type {Scene} */ (this.scene);
        let most = 0;
        let least = Infinity;
        const see = (/** @type {number} */ value) => {
            most = Math.max(most, value);
            least = value > 0 ? Math.min(least, value) : least;
        };
        this.data.slice(1).forEach((/** @type {Column} */ column) => column.forEach((value) => value !== null && see(value)));
        if (this.spec.points) {
            scene.marks.forEach((mark) => see(mark.pause_ns));
            this.ends = { low: 10 ** Math.floor(Math.log10(Math.min(least, 1e6) / (this.spec.strip ? 3 : 1))), high: 10 ** Math.ceil(Math.log10(Math.max(most, 1e4) * 1.05)) };
            return;
        }
        this.limits.forEach(({ value, always }) => (always || value <= most * 2.5) && see(value));
        this.ends = { low: 0, high: most > 0 ? most * ROOM_ABOVE : 1 };
    }

    /** @param {uPlot} chart */
    #selected(chart) {
        const { left, width } = chart.select;
        if (width > 0) {
            const [from, to] = [chart.posToVal(left, "x"), chart.posToVal(left + width, "x")];
            chart.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
            this.owner.onZoom(from, to);
        }
    }

    /** A mark that was clicked is chosen. @param {MouseEvent} event */
    #click(event) {
        const box = this.chart.over.getBoundingClientRect();
        const x = event.clientX - box.left;
        const inLane = event.clientY - box.top < 2;
        const near = (this.scene?.marks ?? []).map((mark) => ({ mark, far: Math.hypot(this.chart.valToPos(mark.t, "x") - x,
            inLane || !this.spec.points ? 0 : this.chart.valToPos(mark.pause_ns, "y") - (event.clientY - box.top)) }))
            .sort((a, b) => a.far - b.far)[0];
        if (near && near.far < 7 && (inLane || this.spec.points)) {
            this.owner.onPick(near.mark);
        }
    }

    /** The values under the cursor, or the newest. */
    #readOut() {
        const row = this.chart?.cursor.idx ?? (this.scene?.shape.t.length ?? 0) - 1;
        let column = 1;
        this.spec.lines.forEach((line, index) => {
            this.values[index].textContent = TEXT[this.spec.unit](this.data[column][row]);
            column += line.band ? 3 : 1;
        });
        const mark = this.spec.strip && this.chart?.cursor.idx !== null ? this.scene?.marks[(this.scene?.marks.length ?? 0) - 1 - row] : null;
        const note = mark ? `${format.moment(mark.t * 1000)}, ${reasonOf(mark.reason).label}, generation ${mark.generation}, collected ${format.exact(mark.collected)}`
            : this.cursorTime !== null ? format.moment(this.cursorTime * 1000) : this.limits.map(({ label, value }) => `${label} ${TEXT[this.spec.unit](value)}`).join(", ");
        if (this.note.textContent !== note) {
            this.note.textContent = note;
        }
    }

    /** What a slider's value is to who hears it. */
    #say() {
        const { scene, plot } = this;
        if (!scene) {
            return;
        }
        const t = this.cursorTime ?? scene.to;
        plot.setAttribute("aria-valuemin", scene.from.toFixed(0));
        plot.setAttribute("aria-valuemax", scene.to.toFixed(0));
        plot.setAttribute("aria-valuenow", t.toFixed(0));
        const nearest = this.spec.points ? nearestMark(scene.marks, t, (scene.to - scene.from) / 150) : null;
        const texts = this.spec.lines.map((line, index) => `${line.label} ${this.values[index].textContent === "–" ? "not known" : this.values[index].textContent}`.trim());
        plot.setAttribute("aria-valuetext", `${format.moment(t * 1000)}: ${texts.join(", ")}${nearest
            ? `${texts.length ? "; " : ""}collection, ${reasonOf(nearest.reason).label}, ${format.duration(nearest.pause_ns)}` : ""}`);
    }

    /** What the eye sees at once. */
    #summary() {
        const scene = /** @type {Scene} */ (this.scene);
        if (!scene) {
            return "";
        }
        const text = TEXT[this.spec.unit];
        let column = 1;
        const parts = this.spec.lines.map((line) => {
            const values = /** @type {Column} */ (this.data[column]);
            const [low, high] = line.band ? [this.data[column + 1], this.data[column + 2]] : [values, values];
            column += line.band ? 3 : 1;
            return `${line.label} ${trend(scene.shape.t, values, low, high, text)}`.trim();
        });
        const limits = this.limits.map(({ label, value }) => `${label} ${text(value)}`);
        const pauses = this.spec.points ? [pausesText(scene.marks)] : [];
        return `${this.spec.title}, ${format.moment(scene.from * 1000)} to ${format.moment(scene.to * 1000)}: ${[...parts, ...pauses, ...limits].join("; ")}. `
            + `${format.plural(scene.marks.length, "collection")} marked.`;
    }

    /** Columns of the table and the file. @param {Shape} shape @returns {import("./rows.js").Column<number>[]} of rows by their index */
    #tableColumns(shape) {
        const { spec } = this;
        const text = TEXT[spec.unit];
        const marks = this.scene?.marks ?? [];
        if (spec.points) {
            return [{ id: "time", label: "Time", value: (row) => isoOf(marks[row].t), show: (row) => format.moment(marks[row].t * 1000) },
                { id: "reason", label: "Reason", value: (row) => reasonOf(marks[row].reason).label },
                { id: "generation", label: "Generation", value: (row) => marks[row].generation },
                { id: "pause_ns", label: "Pause", value: (row) => marks[row].pause_ns, show: (row) => text(marks[row].pause_ns) },
                { id: "collected", label: "Collected", value: (row) => marks[row].collected }];
        }
        const names = spec.lines.flatMap((line) => { const name = line.label || spec.title; return line.band ? [name, "least", "most"] : [name]; });
        return [{ id: "time", label: "Time", value: (row) => isoOf(shape.t[row]), show: (row) => format.moment(shape.t[row] * 1000) },
            ...this.#columns(shape).map((column, index) => ({ id: names[index], label: names[index], value: (/** @type {number} */ row) => column[row],
                show: (/** @type {number} */ row) => column[row] === null ? "not known" : text(column[row]) }))];
    }

    /** Newest first, few enough to be read. */
    #fillTable() {
        if (!this.scene) {
            return;
        }
        const shape = this.scene.coarse(TABLE_ROWS);
        const columns = this.#tableColumns(shape);
        const rows = this.spec.points ? this.scene.marks.map((_, row) => row) : shape.t.map((_, row) => row).reverse();
        const table = document.createElement("table");
        const caption = table.createCaption();
        caption.className = "unseen";
        caption.textContent = this.spec.title;
        const head = table.createTHead().insertRow();
        columns.forEach(({ label }) => { const cell = document.createElement("th"); cell.scope = "col"; cell.textContent = label; head.append(cell); });
        const body = table.createTBody();
        rows.slice(0, 3 * TABLE_ROWS).forEach((row) => {
            const cells = body.insertRow();
            columns.forEach(({ show, value }) => { cells.insertCell().textContent = String(show ? show(row) : value(row)); });
        });
        this.table.tabIndex = 0;
        this.table.setAttribute("role", "region");
        this.table.setAttribute("aria-label", `${this.spec.title}, table`);
        this.table.replaceChildren(table);
    }

    #csv() {
        if (this.scene) {
            const rows = (this.spec.points ? this.scene.marks : this.scene.shape.t).map((_, row) => row);
            download(`${this.owner.name()}-${this.spec.id}.csv`, csvOf(rows, this.#tableColumns(this.scene.shape)));
        }
    }

    #png() {
        const entries = this.spec.lines.map((line, index) => ({ label: `${line.label} ${this.values[index].textContent}`.trim(), colour: line.colour }));
        picture(this.chart.ctx.canvas, `${this.spec.title} – ${this.owner.name()}`, entries)
            .then((blob) => blob && download(`${this.owner.name()}-${this.spec.id}.png`, blob));
    }

    #resize() {
        if (this.plot.clientWidth && this.plot.clientWidth !== this.chart.width) {
            this.chart.setSize({ width: this.plot.clientWidth, height: this.height });
        }
    }
}

/** Of a logarithmic axis's many lines those that have a name. @param {uPlot} _ @param {number[]} splits @returns {(number|null)[]} */
const onlyDecades = (_, splits) => splits.map((n) => Number.isInteger(Math.round(Math.log10(n) * 1e6) / 1e6) ? n : null);

/** The room that a text of the time axis takes: a day and its time, a day or a minute, or a second. @param {number} step seconds of a pixel */
const roomOf = (step) => step > 900 ? 48 : step > 150 ? 86 : step > 0.9 ? 44 : 62;

/** A text of the time axis where there is room for all of it, beside the figures of the other one. @param {uPlot} chart @param {number} t @param {string} text */
function whole(chart, t, text) {
    const at = chart.valToPos(t, "x");
    const half = text.length * LETTER_PX / 2;
    return at >= half - 4 && at + half <= chart.bbox.width / devicePixelRatio + RIGHT_PX ? text : "";
}

/** @param {Mark[]} marks @param {number} t @param {number} within seconds */
export function nearestMark(marks, t, within) {
    let best = null;
    for (const mark of marks) {
        const far = Math.abs(mark.t - t);
        if (far <= within && (best === null || far < Math.abs(best.t - t))) {
            best = mark;
        }
    }
    return best;
}

/** @param {number[]} times @param {Column} values @param {Column} low @param {Column} high @param {(n: number|null) => string} text */
function trend(times, values, low, high, text) {
    const known = values.flatMap((value, row) => value === null ? [] : [row]);
    if (!known.length) {
        return "not known";
    }
    const [first, last] = [known[0], known[known.length - 1]];
    const least = known.reduce((best, row) => Number(low[row]) < Number(low[best]) ? row : best, first);
    const most = known.reduce((best, row) => Number(high[row]) > Number(high[best]) ? row : best, first);
    const gaps = values.length - known.length;
    return `now ${text(values[last])}, at the start ${text(values[first])}, least ${text(low[least])} at ${format.clock(times[least] * 1000)}, `
        + `most ${text(high[most])} at ${format.clock(times[most] * 1000)}${gaps ? `, with ${format.plural(gaps, "gap")}` : ""}`;
}

/** @param {Mark[]} marks */
function pausesText(marks) {
    if (!marks.length) {
        return "no collection";
    }
    const longest = marks.reduce((best, mark) => mark.pause_ns > best.pause_ns ? mark : best);
    return `longest pause ${format.duration(longest.pause_ns)} at ${format.clock(longest.t * 1000)}, ${reasonOf(longest.reason).label}`;
}
