/* One collection: what its pause was made of, why it came, who asked for it, and what it was good for. */

import { html, useEffect, useRef } from "./vendor/htm-preact.js";
import * as api from "./api.js";
import { Glyph } from "./board.js";
import * as format from "./format.js";
import { quantile } from "./heat.js";
import { reasonOf } from "./reasons.js";
import { useResource } from "./resource.js";

/** @typedef {import("./types").Collection} Collection @typedef {import("./past.js").Mark} Mark */

export const PHASES = /** @type {const} */ ([["find_ns", "find", "going through objects to find garbage"], ["callback_ns", "callbacks", "finalizers and callbacks of the program"],
    ["free_ns", "free", "taking the dead apart"]]);
const BAR = 1000;

/** What the pause was made of, to scale. @param {{collection: Collection}} props */
export function PhaseBar({ collection: { phases, pause_ns } }) {
    const parts = PHASES.map(([name]) => phases?.[name] ?? 0);
    const whole = Math.max(pause_ns, parts.reduce((a, b) => a + b, 0), 1);
    let x = 0;
    return html`<svg class="phases" viewBox="0 0 ${BAR} 10" preserveAspectRatio="none" aria-hidden="true">${PHASES.map(([name], index) => {
        const width = parts[index] / whole * BAR;
        x += width;
        return html`<rect key=${name} class="phase-${index + 1}" x=${(x - width).toFixed(1)} y="0" width=${width.toFixed(1)} height="10" />`;
    })}</svg>`;
}

/** @param {Collection} collection */
export const phasesText = ({ phases }) => PHASES.map(([name, label]) => `${label} ${format.duration(phases?.[name])}`).join(", ");

/** Who made it run. @param {Collection} collection */
export const askedBy = ({ reason, operation }) => operation ? `operation ${operation.slice(0, 8)}` : reason === "explicit" ? "the program" : reason === "remote" ? "somebody outside" : "the heap itself";

/** @param {number} part @param {number} whole */
const share = (part, whole) => whole ? `${Math.round(100 * part / whole)} %` : "–";

/** What it tells, in sentences. @param {Collection} c @param {Mark[]} alike of the same heap, reason and generation */
export function findings(c, alike) {
    const parts = PHASES.map(([name, label]) => ({ label, ns: c.phases?.[name] ?? 0 })).sort((a, b) => b.ns - a.ns);
    const sorted = alike.map(({ pause_ns }) => pause_ns).sort((a, b) => a - b);
    const middle = quantile(sorted, 0.5);
    const longer = sorted.filter((ns) => ns > c.pause_ns).length;
    const said = [`${share(parts[0].ns, c.pause_ns)} of the pause went into ${parts[0].label}${c.examined && c.phases?.find_ns ? `; finding took ${format.duration(c.phases.find_ns / c.examined)} an object` : ""}.`];
    if (sorted.length > 4) {
        said.push(`Of ${format.plural(sorted.length, "collection")} of its kind in this time ${longer ? `${format.exact(longer)} took longer` : "none took longer"}; half took ${format.duration(middle)} or less${c.pause_ns > 1.5 * middle
            ? `, this one ${(c.pause_ns / middle).toFixed(1)} times that` : ""}.`);
    }
    if (c.examined) {
        const found = c.collected / c.examined;
        said.push(c.collected === 0 ? `All ${format.plural(c.examined, "object")} that it looked at were alive: the pause gained nothing.`
            : `${share(c.collected, c.examined)} of the ${format.plural(c.examined, "object")} that it looked at were garbage${found < 0.05 ? ": most of the work was for what lives" : ""}.`);
    }
    if (c.freed_bytes) {
        said.push(`It gave back ${format.bytes(c.freed_bytes)}: ${format.duration(c.pause_ns / c.freed_bytes * 1024 * 1024)} of pause for each MiB.`);
    }
    if (c.uncollectable) {
        said.push(`${format.plural(c.uncollectable, "object")} could not be freed and wait on the garbage list.`);
    }
    if (c.slices > 1) {
        said.push(`It ran in ${c.slices} slices: the program went on between them.`);
    }
    if (c.safepoint_wait_ns) {
        said.push(`It was asked for ${format.duration(c.safepoint_wait_ns)} before the heap's owner came to a safepoint; the program ran on meanwhile.`);
    }
    return said;
}

/** Who asked, as the audit knows it. @param {{operation: string, address: import("./address.js").Address}} props */
function Initiator({ operation, address }) {
    const { data, problem, loading } = useResource((signal) => api.get("/v1/audit?limit=1000", signal), [operation]);
    const record = data?.records.find((/** @type {{operation: string|null}} */ one) => one.operation === operation);
    const link = address.to("audit", { filter: operation });
    return html`<span data-testid="initiator">${record ? html`${record.who}${record.from ? html` from ${record.from}` : ""}, ${format.clock(record.at)}`
        : problem ? problem.message : loading ? "reading the audit…" : "the audit has no record of it any more"} (<a href=${link}>audit</a>)</span>`;
}

/** @param {{mark: Mark, alike: Mark[], address: import("./address.js").Address}} props */
export function CollectionDetail({ mark, alike, address }) {
    const c = mark.collection;
    const title = useRef(/** @type {HTMLElement|null} */ (null));
    useEffect(() => title.current?.focus({ preventScroll: true }), [mark.key]);
    const reason = reasonOf(c.reason);
    return html`<section class="panel detail" aria-labelledby="detail-title" data-testid="detail" data-key=${mark.key}>
        <header><h2 id="detail-title" tabindex="-1" ref=${title}><${Glyph} name=${c.reason} /> Collection ${c.sequence}${c.heap > 1 ? ` of heap ${c.heap}` : ""}: <span class="number">${format.duration(c.pause_ns)}</span></h2>
            <a class="button small" href=${address.with({ collection: null })} data-testid="close-detail">Close</a></header>
        <p><strong>${reason.label}</strong>, ${format.dateTime(c.started_at)}. ${reason.why}</p>
        <${PhaseBar} collection=${c} />
        <dl class="phase-list">${PHASES.map(([name, label, help], index) => html`<div key=${name} title=${help}><dt><i class="shade phase-${index + 1}"></i>${label}</dt>
            <dd>${format.duration(c.phases?.[name])} <small>${share(c.phases?.[name] ?? 0, c.pause_ns)}</small></dd></div>`)}</dl>
        <ul class="verdict" data-testid="verdict">${findings(c, alike).map((text) => html`<li key=${text}>${text}</li>`)}</ul>
        <dl class="detail-facts">
            <div><dt>Asked for by</dt><dd>${c.operation ? html`<${Initiator} operation=${c.operation} address=${address} />` : askedBy(c)}</dd></div>
            <div><dt>Manager, scope</dt><dd>${c.manager}, ${c.scope}</dd></div>
            <div><dt>Generation</dt><dd>${c.generation}</dd></div>
            <div><dt>Examined</dt><dd>${format.exact(c.examined)}</dd></div>
            <div><dt>Collected</dt><dd>${format.exact(c.collected)}</dd></div>
            <div><dt>Live bytes</dt><dd>${format.bytes(c.live_bytes_before)} → ${format.bytes(c.live_bytes_after)}</dd></div>
        </dl>
    </section>`;
}
