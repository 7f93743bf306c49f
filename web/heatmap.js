/* The map of pauses over time, on a canvas. It is read by keyboard cell by cell, as a slider that tells each; the words
 * and the table beside it say the same. */

import { html, useEffect, useLayoutEffect, useRef, useState } from "./vendor/htm-preact.js";
import * as format from "./format.js";
import { BOUNDS, SHADES, columnStart, columnsAt, heatOf, heatText, rowLabel, shadeOf } from "./heat.js";
import { colour } from "./paint.js";
import { onTheme } from "./theme.js";

const LEFT = 66;
const RIGHT = 14;
const BOTTOM = 20;
const ROW_PX = 17;
const COLUMN_PX = 13;
const ROWS_LEAST = 5;

/** @typedef {import("./heat.js").Heat} Heat @typedef {{row: number, column: number}} Cell */

/** Rows that are drawn: those that hold something, and a few around them, the longest on top. @param {Heat} heat */
function rowsOf(heat) {
    let low = heat.total ? heat.lowest : 4;
    let high = heat.total ? heat.highest : 6;
    for (let turn = 0; high - low + 1 < ROWS_LEAST; turn++) {
        turn % 2 ? low = Math.max(0, low - 1) : high = Math.min(BOUNDS.length - 1, high + 1);
    }
    return { low, high, count: high - low + 1 };
}

/** @param {CanvasRenderingContext2D} context @param {Heat} heat @param {number} width @param {Cell|null} at */
function draw(context, heat, width, at) {
    const { low, high, count } = rowsOf(heat);
    const cell = (width - LEFT - RIGHT) / heat.columns;
    const shades = Array.from({ length: SHADES }, (_, index) => colour(`--heat-${index + 1}`));
    context.clearRect(0, 0, width, count * ROW_PX + BOTTOM);
    context.font = "11px system-ui, sans-serif";
    context.textBaseline = "middle";
    context.strokeStyle = colour("--grid");
    for (let row = low; row <= high; row++) {
        const y = (high - row) * ROW_PX;
        context.fillStyle = colour("--muted");
        context.textAlign = "right";
        context.fillText(row === 0 ? "0" : format.duration(BOUNDS[row]), LEFT - 7, y + ROW_PX - 2);
        context.beginPath();
        context.moveTo(LEFT, y + ROW_PX - 0.5);
        context.lineTo(width - RIGHT, y + ROW_PX - 0.5);
        context.stroke();
        for (let column = 0; column < heat.columns; column++) {
            const shade = shadeOf(heat.counts[row * heat.columns + column], heat.most);
            if (shade) {
                context.fillStyle = shades[shade - 1];
                context.fillRect(LEFT + column * cell + 0.5, y + 0.5, Math.max(1, cell - 1), ROW_PX - 1.5);
            }
        }
    }
    drawTimes(context, heat, width, count * ROW_PX + 12);
    if (at) {
        context.strokeStyle = colour("--text");
        context.lineWidth = 2;
        context.strokeRect(LEFT + at.column * cell, (high - at.row) * ROW_PX, cell, ROW_PX);
        context.lineWidth = 1;
    }
}

/** @param {CanvasRenderingContext2D} context @param {Heat} heat @param {number} width @param {number} y */
function drawTimes(context, heat, width, y) {
    const every = Math.max(1, Math.ceil(heat.columns * 110 / (width - LEFT - RIGHT)));
    context.fillStyle = colour("--muted");
    context.textAlign = "left";
    for (let column = 0; column + every / 2 < heat.columns; column += every) {
        const x = LEFT + column * (width - LEFT - RIGHT) / heat.columns;
        context.fillText(format.axisTime(columnStart(heat, column) * 1000, (heat.to - heat.from) / heat.columns * every), x, y);
    }
}

/** @param {Heat} heat @param {Cell} cell */
function cellText(heat, { row, column }) {
    const count = heat.counts[row * heat.columns + column];
    return `${format.clock(columnStart(heat, column) * 1000)} to ${format.clock(columnStart(heat, column + 1) * 1000)}, ${rowLabel(row)}: ${count ? format.plural(count, "collection") : "none"}`;
}

/** @param {{heat: Heat, place: {current: HTMLElement|null}, onTable: () => void}} props */
function HeatTable({ heat, place, onTable }) {
    const rows = [];
    for (let row = heat.highest; row >= heat.lowest; row--) {
        const counts = Array.from(heat.counts.subarray(row * heat.columns, (row + 1) * heat.columns));
        const total = counts.reduce((a, b) => a + b, 0);
        const last = counts.findLastIndex((count) => count > 0);
        if (total) {
            rows.push(html`<tr key=${row}><th scope="row">${rowLabel(row)}</th><td class="number">${format.exact(total)}</td><td class="number">${(100 * total / heat.total).toFixed(1)} %</td>
                <td class="number">${format.clock(columnStart(heat, last) * 1000)}</td></tr>`);
        }
    }
    return html`<div class="scroll" tabindex="0" role="region" aria-label="Pauses by length" ref=${place} onKeyDown=${(/** @type {KeyboardEvent} */ { key }) => key === "t" && onTable()}><table data-testid="heat-table"><thead><tr><th scope="col">Pause</th><th scope="col" class="number">Collections</th>
        <th scope="col" class="number">Share</th><th scope="col" class="number">Last about</th></tr></thead><tbody>${rows}</tbody></table></div>`;
}

/** @param {{marks: import("./heat.js").Mark[], from: number, to: number, table: boolean, onTable: () => void, onCell: (from: number, to: number, pause_ns: number) => void}} props
 * onCell  a cell was chosen: its time, and the least pause of its row */
export function HeatMap({ marks, from, to, table, onTable, onCell }) {
    const canvas = useRef(/** @type {HTMLCanvasElement|null} */ (null));
    const [width, setWidth] = useState(0);
    const [at, setAt] = useState(/** @type {Cell|null} */ (null));
    const [scheme, setScheme] = useState(0);
    const columns = Math.max(10, Math.min(90, Math.floor((width - LEFT - RIGHT) / COLUMN_PX)));
    const whole = columnsAt(from, to, columns);
    const heat = heatOf(marks, whole.from, whole.to, columns);
    const shown = rowsOf(heat);
    const cell = at && at.column < columns ? { column: at.column, row: Math.min(shown.high, Math.max(shown.low, at.row)) } : null;
    useEffect(() => onTheme(() => setScheme((turn) => turn + 1)), []);
    useEffect(() => {
        const resized = new ResizeObserver(([{ contentRect }]) => setWidth(Math.floor(contentRect.width)));
        resized.observe(/** @type {Element} */ (canvas.current?.parentElement));
        return () => resized.disconnect();
    }, []);
    useEffect(() => {
        const element = canvas.current;
        const context = element?.getContext("2d");
        if (element && context && width) {
            const height = shown.count * ROW_PX + BOTTOM;
            Object.assign(element, { width: width * devicePixelRatio, height: height * devicePixelRatio });
            element.style.height = `${height}px`;
            context.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
            draw(context, heat, width, cell);
        }
    }, [whole.from, columns, width, heat.total, heat.most, shown.low, shown.high, cell?.row, cell?.column, scheme]);
    const region = useRef(/** @type {HTMLElement|null} */ (null));
    const held = useRef(false);
    const turn = () => {
        held.current = true;
        onTable();
    };
    useLayoutEffect(() => { /* what has the focus does not vanish with it */
        held.current && (table ? region : canvas).current?.focus();
        held.current = false;
    }, [table]);
    const choose = (/** @type {Cell|null} */ one) => one && onCell(columnStart(heat, one.column), columnStart(heat, one.column + 1), BOUNDS[one.row]);
    const cellAt = (/** @type {MouseEvent} */ event) => {
        const box = /** @type {Element} */ (event.currentTarget).getBoundingClientRect();
        const column = Math.floor((event.clientX - box.left - LEFT) / ((width - LEFT - RIGHT) / columns));
        const row = shown.high - Math.floor((event.clientY - box.top) / ROW_PX);
        return column >= 0 && column < columns && row >= shown.low && row <= shown.high ? { row, column } : null;
    };
    const onKeyDown = (/** @type {KeyboardEvent} */ event) => {
        const here = cell ?? { row: shown.low, column: columns };
        const column = { ArrowLeft: here.column - 1, ArrowRight: here.column + 1, Home: 0, End: columns - 1 }[event.key];
        const row = { ArrowUp: here.row + 1, ArrowDown: here.row - 1 }[event.key];
        if (column !== undefined || row !== undefined) {
            setAt({ column: Math.min(columns - 1, Math.max(0, column ?? Math.min(here.column, columns - 1))), row: Math.min(shown.high, Math.max(shown.low, row ?? here.row)) });
        } else if (event.key === "Enter") {
            choose(cell);
        } else if (event.key === "t") {
            turn();
        } else if (event.key === "Escape") {
            setAt(null);
        } else {
            return;
        }
        event.preventDefault();
    };
    const now = cell ? (shown.high - cell.row) * columns + cell.column : 0;
    return html`<figure class="panel chart" data-figure="heat">
        <figcaption><span class="head"><h3 title="How many collections took how long, and when. Darker is more, on a logarithmic scale.">Pauses over time</h3>
            <span class="tools"><button type="button" class="tool" aria-label="Table of pauses over time" title="The counts as a table" aria-pressed=${String(table)} onClick=${onTable}><svg viewBox="0 0 14 14" aria-hidden="true"><path d="M1 2h12v10H1zM1 5.3h12M1 8.6h12M5 2v10" /></svg></button></span></span>
            <span class="reading"><span class="entry scale" aria-hidden="true">1 ${Array.from({ length: SHADES }, (_, index) => html`<i key=${index} class="shade shade-${index + 1}"></i>`)} ${format.count(Math.max(1, heat.most))} collections</span>
                <span class="note" data-testid="heat-cell">${cell ? cellText(heat, cell) : ""}</span></span></figcaption>
        <div class="heat ${table ? "away" : ""}"><canvas ref=${canvas} data-chart="heat" tabindex="0" role="slider" aria-label="Pauses over time, cell by cell" aria-describedby="words-heat"
            aria-valuemin="0" aria-valuemax=${shown.count * columns - 1} aria-valuenow=${now} aria-valuetext=${cell ? cellText(heat, cell) : "no cell chosen; arrows choose one"}
            onKeyDown=${onKeyDown} onMouseMove=${(/** @type {MouseEvent} */ event) => { const next = cellAt(event); (next?.row !== at?.row || next?.column !== at?.column) && setAt(next); }} onMouseLeave=${() => setAt(null)} onBlur=${() => setAt(null)} onClick=${(/** @type {MouseEvent} */ event) => choose(cellAt(event))}></canvas></div>
        ${table ? html`<${HeatTable} heat=${heat} place=${region} onTable=${turn} />` : null}
        <p class="unseen" id="words-heat">${heatText(heat)}</p>
    </figure>`;
}
