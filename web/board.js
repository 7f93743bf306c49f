/* A board of charts over one stretch of time: they zoom, read and are drawn together. Only those that are on the screen
 * are drawn, and all of them in one animation frame a change. Also the strip above them: ranges, pause, reasons. */

import { Component, html } from "./vendor/htm-preact.js";
import { change, present } from "./address.js";
import { Plot, nearestMark } from "./charts.js";
import * as format from "./format.js";
import { POINTS, RANGES, heldWords, panned, zoomed } from "./ranges.js";
import { REASONS, hiddenOf, reasonOf, toggled } from "./reasons.js";
import { onTheme } from "./theme.js";

/** @typedef {import("./charts.js").Scene} Scene @typedef {import("./charts.js").Spec} Spec @typedef {import("./charts.js").Mark} Mark */
/** @typedef {import("./ranges.js").Window} Window */

/** What a held window leaves out of the address. */
const LIVE = { from: null, to: null };
const AHEAD_OF_SIGHT = "240px";
const CALM_MS = 2000;
let boards = 0;

/** @param {number} from @param {number} to */
export const hold = (from, to) => change(heldWords(from, to), { step: true });
export const release = () => change(LIVE, { step: true });

export class Board {
    /** @param {{window: () => {from: number, to: number}, scene: () => Scene|null, onPick: (mark: Mark) => void, name: () => string}} wiring
     * window: as the address has it now, drawn already or not */
    constructor(wiring) {
        this.wiring = wiring;
        this.sync = `tally-${++boards}`;
        this.plots = /** @type {Map<Element, {plot: Plot, seen: boolean}>} */ (new Map());
        this.due = 0;
        this.key = "";
        this.drawnAt = -Infinity;
        this.observer = new IntersectionObserver((entries) => entries.forEach(({ target, isIntersecting }) => {
            const entry = this.plots.get(target);
            if (entry) {
                entry.seen = isIntersecting;
                isIntersecting && this.invalidate();
            }
        }), { rootMargin: AHEAD_OF_SIGHT });
        this.endTheme = onTheme(() => this.plots.forEach(({ plot }) => plot.recolour()));
    }

    destroy() {
        cancelAnimationFrame(this.due);
        this.endTheme();
        this.observer.disconnect();
        this.plots.forEach(({ plot }) => plot.destroy());
    }

    /** @param {HTMLElement} host @param {Spec} spec */
    add(host, spec) {
        /** @type {Plot} */
        const plot = new Plot(host, spec, {
            sync: this.sync, onZoom: hold, onReset: release, onPick: this.wiring.onPick, name: this.wiring.name,
            onTable: (id) => change({ tables: toggled(hiddenOf(present().get("tables")), id) }),
            onKey: (/** @type {KeyboardEvent} */ event, /** @type {number|null} */ at) => this.#key(plot, event, at),
        });
        this.plots.set(host, { plot, seen: false });
        this.observer.observe(host);
    }

    /** @param {HTMLElement} host */
    remove(host) {
        this.observer.unobserve(host);
        this.plots.get(host)?.plot.destroy();
        this.plots.delete(host);
    }

    /** @param {HTMLElement} host @param {boolean} shown */
    table(host, shown) {
        this.plots.get(host)?.plot.showTable(shown);
    }

    /** Draws where something is another than last time, and else no more often than a step of the charts is long: what is
     * between two steps cannot be seen. @param {string} key of all that is drawn but the newest figures @param {{from: number, to: number}} window */
    update(key, { from, to }) {
        const step = Math.min(CALM_MS, (to - from) / POINTS * 1000);
        if (key !== this.key || performance.now() - this.drawnAt >= step) {
            this.key = key;
            this.drawnAt = performance.now();
            this.invalidate();
        }
    }

    /** Draws what is seen, in the next frame. */
    invalidate() {
        this.due ||= requestAnimationFrame(() => {
            this.due = 0;
            const scene = this.wiring.scene();
            if (scene) {
                this.plots.forEach(({ plot, seen }) => seen && plot.draw(scene));
            }
        });
    }

    /** Says anew what the charts show: the window is another. */
    describe() {
        this.plots.forEach(({ plot }) => { plot.describedAt = -Infinity; });
    }

    /** Keys on a chart; whether there is one. @param {Plot} plot @param {KeyboardEvent} event @param {number|null} at the reading cursor's time */
    #key(plot, event, at) {
        const scene = plot.scene;
        if (!scene || event.ctrlKey || event.metaKey || event.altKey) {
            return false;
        }
        const window = this.wiring.window();
        const length = window.to - window.from;
        const step = length / (event.shiftKey ? 10 : 100);
        const here = at ?? window.to;
        const move = (/** @type {number} */ t) => plot.moveCursor(Math.min(scene.to, Math.max(scene.from, t)));
        const show = (/** @type {{from: number, to: number}} */ { from, to }) => hold(from, to);
        /** @type {Record<string, () => void>} */
        const keys = {
            ArrowLeft: () => plot.spec.strip ? plot.stepMark(event.shiftKey ? -10 : -1) : move(here - step),
            ArrowRight: () => plot.spec.strip ? plot.stepMark(event.shiftKey ? 10 : 1) : move(here + step), Home: () => move(scene.from), End: () => move(scene.to),
            "+": () => show(zoomed(window, here, 0.5)), "=": () => show(zoomed(window, here, 0.5)), "-": () => show(zoomed(window, here, 2)),
            PageUp: () => show(panned(window, -0.5)), PageDown: () => show(panned(window, 0.5)),
            0: release, Escape: () => at === null ? release() : plot.moveCursor(null),
            p: () => present().get("to") ? release() : hold(window.from, window.to), t: () => plot.owner.onTable(plot.spec.id),
            Enter: () => { const mark = nearestMark(scene.marks, here, length / 100); mark && this.wiring.onPick(mark); },
        };
        keys[event.key]?.();
        return event.key in keys;
    }
}

/** A chart's place; what is in it is the board's. @extends {Component<{board: Board, spec: Spec, table: boolean}>} */
export class Chart extends Component {
    get host() {
        return /** @type {HTMLElement} */ (this.base);
    }

    componentDidMount() {
        const { board, spec, table } = this.props;
        board.add(this.host, spec);
        board.table(this.host, table);
    }

    /** @param {{table: boolean}} next */
    shouldComponentUpdate(next) {
        this.props.board.table(this.host, next.table);
        return false;
    }

    componentWillUnmount() {
        this.props.board.remove(this.host);
    }

    render() {
        return html`<figure class="panel chart" data-figure=${this.props.spec.id}></figure>`;
    }
}

/** For fingers, and who would rather press a button. @type {[id: string, sign: string, label: string, step: (window: Window) => {from: number, to: number}][]} */
const STEPS = [["earlier", "◀", "Earlier", (window) => panned(window, -0.5)], ["zoom-out", "−", "Zoom out", (window) => zoomed(window, middle(window), 2)],
    ["zoom-in", "+", "Zoom in", (window) => zoomed(window, middle(window), 0.5)], ["later", "▶", "Later", (window) => panned(window, 0.5)]];
const middle = (/** @type {{from: number, to: number}} */ { from, to }) => (from + to) / 2;

/** Which stretch of time, and whether it moves on. `behind`: what has come since it was held.
 * @param {{window: Window, behind: number, loading: boolean, problem: string, children?: import("./vendor/htm-preact.js").Child}} props */
export function RangeBar({ window, behind, loading, problem, children }) {
    const { from, to, held, range } = window;
    return html`<div class="range-bar" role="group" aria-label="Time shown">
        <span class="segments">${RANGES.map(({ name, label }) => html`<button type="button" key=${name} aria-label=${`Last ${label}`} data-testid=${`range-${name}`}
            aria-pressed=${String(!held && name === range.name)} onClick=${() => change({ range: name, ...LIVE }, { step: true })}>${name}</button>`)}</span>
        <span class="segments" role="group" aria-label="Move and zoom">${STEPS.map(([id, sign, label, step]) => html`<button type="button" key=${id} aria-label=${label} title=${label} data-testid=${id}
            onClick=${() => { const next = step(window); hold(next.from, next.to); }}>${sign}</button>`)}</span>
        ${held ? html`<button type="button" class="primary" data-testid="resume" onClick=${release}>Resume</button>`
            : html`<button type="button" data-testid="pause" onClick=${() => hold(from, to)}>Pause</button>`}
        ${held ? html`<span class="held" data-testid="held"><strong>Held</strong> ${format.moment(from * 1000)} – ${format.moment(to * 1000)} (${format.duration((to - from) * 1e9)}). The stream goes on${behind ? html`: <span class="number" aria-hidden="true">${format.exact(behind)} readings</span> kept since` : ""}.</span>` : null}
        ${problem ? html`<span class="held bad" role="status" data-testid="history-problem">${problem}</span>`
            : loading ? html`<span class="held" data-testid="history-loading">Reading history…</span>` : null}
        ${children}
    </div>`;
}

/** A reason's shape in its colour. @param {{name: string}} props */
export function Glyph({ name }) {
    const { colour, letter } = reasonOf(name);
    return html`<svg class=${`glyph ${colour.slice(2)}`} viewBox="-7 -7 14 14" width="12" height="12" aria-hidden="true"><path d=${outlineOf(name)} data-letter=${letter} /></svg>`;
}

/** The outline as an SVG path, from the same drawing. @param {string} name */
function outlineOf(name) {
    /** @type {string[]} */
    const words = [];
    const say = (/** @type {string} */ word, /** @type {number[]} */ ...numbers) => words.push(word + numbers.map((n) => n.toFixed(2)).join(" "));
    reasonOf(name).outline(/** @type {any} */ ({
        moveTo: (/** @type {number} */ x, /** @type {number} */ y) => say("M", x, y), lineTo: (/** @type {number} */ x, /** @type {number} */ y) => say("L", x, y),
        closePath: () => say("Z"), rect: (/** @type {number} */ x, /** @type {number} */ y, /** @type {number} */ w, /** @type {number} */ h) => words.push(`M${x} ${y}h${w}v${h}h${-w}Z`),
        arc: (/** @type {number} */ x, /** @type {number} */ y, /** @type {number} */ r) => words.push(`M${x - r} ${y}a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0Z`),
    }), 0, 0, 5.4);
    return words.join("");
}

/** Reasons as switches: which collections are marked. @param {{counts: Map<string, number>, hidden: Set<string>}} props */
export function ReasonLegend({ counts, hidden }) {
    const names = new Set([...REASONS.map(({ name }) => name), ...counts.keys()]);
    return html`<div class="reasons" role="group" aria-label="Collections shown, by reason">${[...names].filter((name) => counts.get(name) || hidden.has(name)).map((name) => html`<button
        type="button" key=${name} class="reason" data-testid=${`reason-${name}`} aria-pressed=${String(!hidden.has(name))} title=${reasonOf(name).why}
        onClick=${() => change({ hide: toggled(hidden, name) })}><${Glyph} name=${name} /> ${reasonOf(name).label} <span class="number">${format.exact(counts.get(name) ?? 0)}</span></button>`)}
        ${counts.size ? null : html`<span class="hint">No collection in this time.</span>`}</div>`;
}
