/* One figure over time out of history, for a pane: uPlot with axes, no controls. What it shows is said in words. */

import uPlot from "./vendor/uplot.js";
import { html, useEffect, useRef } from "./vendor/htm-preact.js";
import * as format from "./format.js";
import { onTheme } from "./theme.js";

const HEIGHT = 150;
const POWERS_OF_TWO = Array.from({ length: 50 }, (_, index) => 2 ** index);
const FONT = "11px system-ui, sans-serif";

/** @typedef {{at: number[], values: (number|null)[]}} Line */

const colour = (/** @type {string} */ name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** A mark of the time axis. @param {number} t @param {number} span of the whole axis, both in seconds */
const mark = (t, span) => span > 2 * 86_400 ? new Date(t * 1000).toLocaleDateString("en-US", { month: "short", day: "numeric" }) : format.clock(t * 1000).slice(0, span > 600 ? 5 : 8);

/** @param {number} width @param {Line} line @returns {uPlot.Options} */
function options(width, line) {
    const axis = { stroke: colour("--muted"), font: FONT, ticks: { show: false }, grid: { stroke: colour("--grid"), width: 1 } };
    const span = line.at.length > 1 ? line.at[line.at.length - 1] - line.at[0] : 1;
    return {
        width, height: HEIGHT, padding: [8, 14, 0, 0], legend: { show: false }, cursor: { show: false },
        scales: { x: { time: true }, y: { range: (_, __, max) => [0, max > 0 ? max * 1.12 : 1] } },
        axes: [{ ...axis, space: 80, size: 24, values: (_, splits) => splits.map((t) => mark(t, span)) },
            { ...axis, space: 30, size: 62, gap: 4, incrs: POWERS_OF_TWO, values: (_, splits) => splits.map((n) => format.bytes(n)) }],
        series: [{}, { stroke: colour("--blue"), fill: colour("--blue-fill"), width: 1.5, points: { show: false }, spanGaps: false }],
    };
}

/** @param {Line} line */
function words({ values }) {
    const known = /** @type {number[]} */ (values.filter((value) => value !== null));
    return known.length === 0 ? "nothing recorded yet" : `now ${format.bytes(known[known.length - 1])}, at first ${format.bytes(known[0])}, `
        + `between ${format.bytes(known.reduce((a, b) => Math.min(a, b)))} and ${format.bytes(known.reduce((a, b) => Math.max(a, b)))}`;
}

/** Live bytes over time. @param {{line: Line, title: string, testid?: string}} props */
export function LineChart({ line, title, testid }) {
    const host = useRef(/** @type {HTMLElement|null} */ (null));
    const chart = useRef(/** @type {uPlot|null} */ (null));
    const shown = useRef(line);
    shown.current = line;
    useEffect(() => {
        const element = /** @type {HTMLElement} */ (host.current);
        const make = () => {
            chart.current?.destroy();
            chart.current = new uPlot(options(element.clientWidth || 300, shown.current), [shown.current.at, shown.current.values], element);
        };
        make();
        const resized = new ResizeObserver(() => element.clientWidth && chart.current?.setSize({ width: element.clientWidth, height: HEIGHT }));
        resized.observe(element);
        const themed = onTheme(make);
        return () => (resized.disconnect(), themed(), chart.current?.destroy());
    }, []);
    useEffect(() => { chart.current?.setData([line.at, line.values]); }, [line]);
    return html`<div class="line" ref=${host} role="img" aria-label="${title}: ${words(line)}" data-testid=${testid}></div>`;
}
