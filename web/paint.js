/* What is drawn on canvases beside the lines: collections, limits, pictures for files. Sizes are in CSS pixels times
 * the device's. */

import { reasonOf } from "./reasons.js";

/** @typedef {import("./charts.js").Scene} Scene @typedef {import("./charts.js").Limit} Limit */
/** @typedef {import("./vendor/uplot.js").default} Chart */

const FONT = "system-ui, -apple-system, \"Segoe UI\", Roboto, \"Liberation Sans\", \"DejaVu Sans\", sans-serif";

/** Asked once a theme: each question would work out the styles of whatever has changed since the last. @type {{theme: string|undefined, known: Map<string, string>}} */
const colours = { theme: undefined, known: new Map() };

/** A colour of the style sheet, as it is now. @param {string} name */
export function colour(name) {
    const { theme } = document.documentElement.dataset;
    if (theme !== colours.theme) {
        colours.theme = theme;
        colours.known.clear();
    }
    let value = colours.known.get(name);
    if (value === undefined) {
        value = getComputedStyle(document.documentElement).getPropertyValue(name).trim();
        colours.known.set(name, value);
    }
    return value;
}

/** Draws a reason's shape. @param {CanvasRenderingContext2D} context @param {string} reason @param {number} x @param {number} y @param {number} r */
export function glyph(context, reason, x, y, r) {
    const { outline, colour: name } = reasonOf(reason);
    context.fillStyle = colour(name);
    context.beginPath();
    outline(context, x, y, r);
    context.fill();
}

/** Lines down from what did not come by itself: behind the figures. @param {Chart} chart @param {Scene} scene */
export function hairlines({ ctx, bbox }, { from, to, marks }) {
    ctx.save();
    ctx.globalAlpha = 0.5;
    ctx.lineWidth = devicePixelRatio;
    ctx.setLineDash([2 * devicePixelRatio, 2 * devicePixelRatio]);
    for (const { t, reason } of marks) {
        if (reason !== "threshold" && t >= from && t <= to) {
            const x = Math.round(bbox.left + (t - from) / (to - from) * bbox.width) + 0.5;
            ctx.strokeStyle = colour(reasonOf(reason).colour);
            ctx.beginPath();
            ctx.moveTo(x, bbox.top);
            ctx.lineTo(x, bbox.top + bbox.height);
            ctx.stroke();
        }
    }
    ctx.restore();
}

/** Collections in a lane above the figures, as many as find room; the rarest reason wins. @param {Chart} chart @param {Scene} scene @param {number} lane its height */
export function drawMarks({ ctx, bbox }, { from, to, marks }, lane) {
    const size = 3.4 * devicePixelRatio;
    const slot = 7 * devicePixelRatio;
    const y = bbox.top - lane * devicePixelRatio / 2 - devicePixelRatio;
    /** @type {Map<number, {x: number, reason: string}>} */
    const slots = new Map();
    for (const { t, reason } of marks) {
        const x = bbox.left + (t - from) / (to - from) * bbox.width;
        const other = slots.get(Math.floor(x / slot));
        if (t >= from && t <= to && (!other || reasonOf(reason).rank > reasonOf(other.reason).rank)) {
            slots.set(Math.floor(x / slot), { x, reason });
        }
    }
    ctx.save();
    slots.forEach(({ x, reason }) => glyph(ctx, reason, x, y, size));
    ctx.restore();
}

/** Collections at their pauses; bars: as wide as they took, too. @param {Chart} chart @param {Scene} scene @param {boolean} [bars] */
export function drawPoints(chart, { from, to, marks }, bars = false) {
    const { ctx, bbox } = chart;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    ctx.globalAlpha = 0.85;
    for (const { t, reason, pause_ns } of marks) {
        if (t >= from && t <= to && pause_ns > 0) {
            const [x, y] = [chart.valToPos(t, "x", true), chart.valToPos(pause_ns, "y", true)];
            if (bars) {
                const width = Math.max(devicePixelRatio, pause_ns / 1e9 / (to - from) * bbox.width);
                ctx.fillStyle = colour(reasonOf(reason).colour);
                ctx.fillRect(Math.round(x), y, width, bbox.top + bbox.height - y);
            }
            glyph(ctx, reason, x, y, 3.6 * devicePixelRatio);
        }
    }
    ctx.restore();
}

/** @param {Chart} chart @param {Limit[]} limits @param {(n: number) => string} text */
export function drawLimits(chart, limits, text) {
    const { ctx, bbox } = chart;
    ctx.save();
    ctx.font = `${11 * devicePixelRatio}px ${FONT}`;
    ctx.lineWidth = devicePixelRatio;
    ctx.textAlign = "right";
    for (const limit of limits) {
        const y = Math.round(chart.valToPos(limit.value, "y", true)) + 0.5;
        ctx.strokeStyle = ctx.fillStyle = colour(limit.colour);
        ctx.setLineDash([6 * devicePixelRatio, 3 * devicePixelRatio]);
        ctx.beginPath();
        ctx.moveTo(bbox.left, y);
        ctx.lineTo(bbox.left + bbox.width, y);
        ctx.stroke();
        const below = y - bbox.top < 14 * devicePixelRatio;
        ctx.fillText(`${limit.label} ${text(limit.value)}`, bbox.left + bbox.width - 4 * devicePixelRatio, y + (below ? 12 : -4) * devicePixelRatio);
    }
    ctx.restore();
}

/** A chart with its title and legend, as a PNG. @param {HTMLCanvasElement} canvas @param {string} title
 * @param {{label: string, colour: string}[]} entries @returns {Promise<Blob|null>} */
export function picture(canvas, title, entries) {
    const scale = devicePixelRatio;
    const head = 30 * scale;
    const whole = document.createElement("canvas");
    whole.width = canvas.width;
    whole.height = canvas.height + head;
    const context = /** @type {CanvasRenderingContext2D} */ (whole.getContext("2d"));
    context.fillStyle = colour("--panel");
    context.fillRect(0, 0, whole.width, whole.height);
    context.drawImage(canvas, 0, head);
    context.font = `600 ${13 * scale}px ${FONT}`;
    context.fillStyle = colour("--text");
    context.fillText(title, 10 * scale, 20 * scale);
    let x = whole.width - 12 * scale;
    context.font = `${12 * scale}px ${FONT}`;
    context.textAlign = "right";
    for (const { label, colour: name } of [...entries].reverse()) {
        context.fillStyle = colour("--text");
        context.fillText(label, x, 20 * scale);
        x -= context.measureText(label).width + 20 * scale;
        context.fillStyle = colour(name);
        context.fillRect(x, 15 * scale, 14 * scale, 2 * scale);
        x -= 14 * scale;
    }
    return new Promise((done) => whole.toBlob(done, "image/png"));
}
