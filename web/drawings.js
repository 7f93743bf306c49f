/* Small drawings of what is known: who refers to whom, how a figure moved, how much of a whole. Elements and SVG, coloured
 * by the style sheet, with the same said in words. */

import { Component, html } from "./vendor/htm-preact.js";
import * as format from "./format.js";

/** @typedef {import("./vendor/htm-preact.js").Child} Child */

const SPARK_WIDTH = 100;
const SPARK_HEIGHT = 20;
/** A figure that moves by more than this part of itself. */
const SPARK_MOVES = 0.02;
const HIDDEN = { "aria-hidden": "true" };

/** A figure over time without axes; nulls are gaps. It begins at zero, or where `floats` is set and the figure moves, at its
 * least. Drawn anew where `values` is another array. @extends {Component<{values: readonly (number|null)[], name?: string, tone?: string, floats?: boolean}>} */
export class Spark extends Component {
    /** @param {{values: readonly (number|null)[], name?: string, tone?: string}} next */
    shouldComponentUpdate({ values, name, tone }) {
        return values !== this.props.values || name !== this.props.name || tone !== this.props.tone;
    }

    render() {
        const { values, name = "", tone = "", floats = false } = this.props;
        const known = /** @type {number[]} */ (values.filter((value) => value !== null && !Number.isNaN(value)));
        const most = known.reduce((a, b) => Math.max(a, b), Number.MIN_VALUE);
        const least = known.reduce((a, b) => Math.min(a, b), most);
        const floor = floats && most - least > most * SPARK_MOVES ? least : 0;
        const step = SPARK_WIDTH / Math.max(1, values.length - 1);
        let path = "";
        let pen = "M";
        values.forEach((value, at) => {
            if (value === null || Number.isNaN(value)) {
                pen = "M";
            } else {
                path += `${pen}${(at * step).toFixed(1)} ${(SPARK_HEIGHT - 1.5 - (value - floor) / (most - floor) * (SPARK_HEIGHT - 3)).toFixed(1)}`;
                pen = "L";
            }
        });
        const said = name ? { role: "img", "aria-label": name } : HIDDEN;
        return html`<svg class="trend ${tone}" viewBox="0 0 ${SPARK_WIDTH} ${SPARK_HEIGHT}" preserveAspectRatio="none" ...${said}><path d=${path} /></svg>`;
    }
}

/** Shares of a whole, with their numbers. @param {{parts: {label: string, value: number, tone: string, text: string}[], total?: number}} props */
export function Stacked({ parts, total = parts.reduce((sum, { value }) => sum + value, 0) }) {
    return html`<span class="stacked"><span class="stacked-bar" aria-hidden="true">${parts.map(({ label, value, tone }) => html`<i key=${label} class=${tone}
            style=${{ width: `${total > 0 ? value / total * 100 : 0}%` }}></i>`)}</span>
        <span class="stacked-words">${parts.map(({ label, text, tone }) => html`<span key=${label}><i class="square ${tone}" aria-hidden="true"></i>${label} <strong>${text}</strong></span>`)}</span></span>`;
}

/** @typedef {{from: number, count: number, orMore?: boolean}} Bar */

/** How often which size or time: bars over powers of two, or over sizes as they are. The middle is the bar that holds the
 * one in the middle. @param {{title: string, bars: Bar[], text: (n: number) => string, note?: Child, testid?: string}} props */
export function Histogram({ title, bars, text, note, testid }) {
    const total = bars.reduce((sum, { count }) => sum + count, 0);
    const most = bars.reduce((max, { count }) => Math.max(max, count), 1);
    let passed = 0;
    const middle = bars.find(({ count }) => (passed += count) * 2 >= total);
    const words = total === 0 ? "nothing counted yet" : `${format.plural(total, "object")}, most of them from ${text(bars.find(({ count }) => count === most)?.from ?? 0)}, the one in the middle from ${text(middle?.from ?? 0)}`;
    return html`<figure class="histogram" data-testid=${testid}>
        <figcaption><strong>${title}</strong> <span class="remark">${total ? `median about ${text(middle?.from ?? 0)}` : ""}${total && note ? " · " : ""}${note}</span></figcaption>
        ${total === 0 ? html`<p class="hint">Nothing counted yet.</p>` : html`
        <div class="histogram-bars" role="img" aria-label="${title}: ${words}">${bars.map((bar) => html`<i key=${bar.from} class=${bar === middle ? "middle" : ""}
            title="${text(bar.from)}${bar.orMore ? " or more" : ""}: ${format.exact(bar.count)}" style=${{ height: `${Math.max(bar.count ? 2 : 0, bar.count / most * 100)}%` }}></i>`)}</div>
        <p class="histogram-ends" aria-hidden="true"><span>${text(bars[0].from)}</span><span>${text(bars[bars.length - 1].from)}</span></p>`}
    </figure>`;
}

/** Powers of two without holes, so that bars stand where their values do. @param {readonly {from: number, count: number}[]} buckets @returns {Bar[]} */
export function evenBars(buckets) {
    const counts = new Map(buckets.map(({ from, count }) => [from, count]));
    const [first, last] = [buckets[0]?.from, buckets[buckets.length - 1]?.from];
    const bars = [];
    for (let from = first; from !== undefined && from <= last; from = from ? from * 2 : 1) {
        bars.push({ from, count: counts.get(from) ?? 0 });
    }
    return bars;
}

/** @typedef {{type: string, link?: string, field?: string, label?: string, note?: Child, weak?: boolean, testid?: string}} Node
 * field  of the reference that leads from it to the next
 * weak   that reference is the one to weaken */

/** Who refers to whom, in a row that wraps. `round`: the last refers to the first. @param {{nodes: Node[], round?: boolean, more?: boolean, label: string}} props */
export function Chain({ nodes, round = false, more = false, label }) {
    return html`<ol class="chain" aria-label=${label}>
        ${nodes.map(({ type, link, field, label: own, note, weak, testid }, index) => html`<li key=${index} data-testid=${testid}>
            <span class="node">${link ? html`<a href=${link}>${type}</a>` : type}${own ? html` <q class="object-label">${own}</q>` : null}${note ? html` <small>${note}</small>` : null}</span>
            ${field !== undefined && (round || more || index < nodes.length - 1) ? html`<span class="edge ${weak ? "weak" : ""}"><span class="unseen"> refers by </span><code>${field || "?"}</code>${weak ? html`<span class="badge warn">weaken</span>` : null}
                <span class="arrow-line" aria-hidden="true"></span><span class="unseen"> to </span></span>` : null}</li>`)}
        ${more ? html`<li><span class="node">… more</span></li>` : null}
        ${round ? html`<li class="back"><span class="node again">${nodes.length === 1 ? "itself, or another like it" : `back to ${nodes[0].type}`}</span></li>` : null}
    </ol>`;
}

/** Figures in a line of names and values. @param {{facts: ([name: string, value: Child]|null|false)[], testid?: string}} props */
export const Facts = ({ facts, testid }) => html`<dl class="fact-list" data-testid=${testid}>${facts.map((fact) => fact ? html`<div key=${fact[0]}><dt>${fact[0]}</dt><dd>${fact[1]}</dd></div>` : null)}</dl>`;

/** What to do next, as links. @param {{children?: Child}} props */
export const Next = ({ children }) => html`<p class="next" role="group" aria-label="What to do next">${children}</p>`;

/** More or less than before. @param {number|null|undefined} n @param {(n: number) => string} text */
export const signed = (n, text) => n === null || n === undefined ? "–" : n === 0 ? "0" : `${n > 0 ? "+" : "−"}${text(Math.abs(n))}`;

/** A share of a hundred, as finely as it matters. @param {number|null|undefined} n */
export const share = (n) => n === null || n === undefined || Number.isNaN(n) ? "–" : n > 0 && n < 1 ? "<1 %" : n < 100 && n > 99 ? ">99 %" : `${Math.round(n)} %`;

/** A class that goes with the sign. @param {number|null|undefined} n */
export const growth = (n) => !n ? "" : n > 0 ? "grew" : "shrank";
