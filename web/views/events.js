/* What a process allocates and frees, as it does: a live tail with filters, exact rates beside it, and gaps where they are. */

import { html, useEffect, useLayoutEffect, useMemo, useRef, useState } from "../vendor/htm-preact.js";
import { change } from "../address.js";
import { announce } from "../announce.js";
import * as api from "../api.js";
import * as format from "../format.js";
import { LateInput } from "../late.js";
import { useResource } from "../resource.js";
import { csvOf } from "../rows.js";
import { Empty } from "../states.js";
import { download } from "../download.js";
import { Tail, gapText, ratesOf } from "../tail.js";

const ROW_PX = 24;
const ENDED = "The program has ended";
const AFTER = "Nothing more will come. What it did last is in its overview.";
const BEYOND = 8;
const RATE_OVER_NS = 1e9;
const SUMS_EVERY_MS = 1000;
const TYPES_SHOWN = 8;

/** @typedef {import("../store.js").Store} Store */
/** @typedef {import("../address.js").Address} Address */
/** @typedef {import("../types").StreamEvent} StreamEvent */

const KINDS = /** @type {const} */ ([
    { word: "alloc", text: "Allocated", sign: "+" }, { word: "free_refcount", text: "Freed by count", sign: "−" },
    { word: "free_cycle", text: "Freed by cycles", sign: "⟲" }, { word: "collection", text: "Collections", sign: "●" },
]);
const TEXTS = /** @type {Record<string, string>} */ ({ alloc: "allocated", free_refcount: "freed by count", free_cycle: "freed by cycles",
    collection_start: "collection begins", collection_stop: "collection ends" });
const signOf = (/** @type {string} */ kind) => KINDS.find(({ word }) => kind.startsWith(word))?.sign ?? "";

/** The filters as the stream takes them. @param {Address} address */
const filterOf = (address) => new URLSearchParams(["heap", "kind", "type", "min_bytes"].map((key) => [key, address.get(key)]).filter(([, value]) => value)).toString();

/** @param {Address} address */
const topics = (address) => [`stats:${address.process}`, `events:${address.process}${filterOf(address) && `?${filterOf(address)}`}`];

/** With ms, which a tail is about. @param {Store} store @param {number|null} ns */
function moment(store, ns) {
    if (ns === null) {
        return "–";
    }
    const ms = store.axis(ns) * 1000;
    return `${format.clock(ms)}.${String(Math.floor(ms) % 1000).padStart(3, "0")}`;
}

/** @param {{address: Address, heaps: number[], types: {name: string}[]}} props */
function Filters({ address, heaps, types }) {
    const chosen = address.get("kind") ? address.get("kind").split(",") : KINDS.map(({ word }) => word);
    const toggle = (/** @type {string} */ word) => {
        const next = KINDS.map((kind) => kind.word).filter((one) => (one === word) !== chosen.includes(one));
        change({ kind: next.length === KINDS.length || !next.length ? null : next.join(",") });
    };
    return html`<form class="tail-filters" aria-label="Which events" onSubmit=${(/** @type {Event} */ event) => event.preventDefault()}>
        <fieldset class="kinds"><legend class="unseen">Kinds</legend>${KINDS.map(({ word, text, sign }) => html`<label key=${word}>
            <input type="checkbox" data-testid="kind-${word}" checked=${chosen.includes(word)} onChange=${() => toggle(word)} />
            <span class="sign ${word}" aria-hidden="true">${sign}</span> ${text}</label>`)}</fieldset>
        <label>Type <${LateInput} type="search" list="tail-types" placeholder="any" maxlength="255" data-testid="tail-type" value=${address.get("type")}
            done=${(/** @type {string} */ type) => change({ type })} /></label>
        <datalist id="tail-types">${types.map(({ name }) => html`<option value=${name} />`)}</datalist>
        <label>At least <${LateInput} type="number" min="0" max="281474976710656" placeholder="0" data-testid="tail-bytes" value=${address.get("min_bytes")}
            done=${(/** @type {string} */ bytes) => change({ min_bytes: bytes })} /> bytes</label>
        ${heaps.length > 1 || address.get("heap") ? html`<label>Heap <select data-testid="tail-heap" value=${address.get("heap")} onChange=${(/** @type {any} */ event) => change({ heap: event.target.value })}>
            <option value="">all</option>${heaps.map((n) => html`<option value=${n} selected=${String(n) === address.get("heap")}>${n}</option>`)}</select></label>` : null}
    </form>`;
}

/** Exact, from the counters, of all events whatever the filter. @param {{store: Store, shown: number|null, missed: number|null}} props */
function Rates({ store, shown, missed }) {
    const seen = useRef(/** @type {import("../types").Stats[]} */ ([]));
    if (store.stats && store.stats !== seen.current.at(-1)) {
        seen.current = [...seen.current.filter((old) => old.id === store.stats?.id).slice(-7), store.stats];
    }
    const last = seen.current.at(-1) ?? null;
    const before = seen.current.findLast((old) => last && last.as_of_mono_ns - old.as_of_mono_ns >= RATE_OVER_NS) ?? seen.current[0] ?? null;
    const rates = ratesOf(before, last);
    return html`<dl class="rates" data-testid="rates">
        ${KINDS.map(({ word, text, sign }) => html`<div key=${word}><dt><span class="sign ${word}" aria-hidden="true">${sign}</span> ${text}</dt><dd data-rate=${word}>${format.rate(rates?.[word])}</dd></div>`)}
        <div title="Events that came into this tail"><dt>Told here</dt><dd data-rate="shown">${format.rate(shown)}</dd></div>
        <div title="Events that fit, but came faster than a page is told: a filter makes them fewer"><dt>Missed here</dt><dd data-rate="missed" class=${missed ? "warn" : ""}>${format.rate(missed)}</dd></div>
        <div title="Overwritten in the program before tallyd read them; counters do not miss them"><dt>Lost</dt><dd data-rate="lost" class=${rates?.lost ? "warn" : ""}>${format.rate(rates?.lost)}</dd></div></dl>`;
}

/** How fast the tail itself goes, over about a second. @param {Tail} tail */
function useTailRates(tail) {
    const marks = useRef(/** @type {{tail: Tail, at: number, came: number, missed: number}[]} */ ([]));
    const now = performance.now();
    const mark = { tail, at: now, came: tail.came, missed: tail.missed };
    const old = marks.current = marks.current.filter((one) => one.tail === tail);
    if (!old.length || now - /** @type {typeof mark} */ (old.at(-1)).at >= 250) {
        old.push(mark);
        old.splice(0, old.length - 6);
    }
    const seconds = (now - old[0].at) / 1000;
    return seconds < 0.5 ? { shown: null, missed: null } : { shown: (tail.came - old[0].came) / seconds, missed: (tail.missed - old[0].missed) / seconds };
}

/** @param {{store: Store, row: import("../tail.js").Row, pick: (type: string) => void}} props */
function Row({ store, row: { event, gap }, pick }) {
    if (gap) {
        return html`<tr class="gap" data-gap=${gap.missed ? "missed" : gap.lost ? "lost" : gap.passed ? "passed" : "away"}><td colspan="6">${gapText(gap, format)}</td></tr>`;
    }
    const { kind, type, bytes, object, heap, at_mono_ns: at, after_mono_ns: after } = /** @type {StreamEvent} */ (event);
    return html`<tr data-kind=${kind}><td class="at">${moment(store, at ?? after)}</td>
        <td><span class="sign ${kind.startsWith("collection") ? "collection" : kind}" aria-hidden="true">${signOf(kind)}</span> ${TEXTS[kind] ?? kind}</td>
        <td class="type">${type === null ? "" : html`<button type="button" class="bare" tabindex="-1" title="Only this type" onClick=${() => pick(type)}>${type}</button>`}</td>
        <td class="number">${bytes === null ? "" : format.exact(bytes)}</td><td class="number">${object === null ? "" : object}</td><td class="number">${heap ?? ""}</td></tr>`;
}

/** The rows in sight of the newest first. Whoever scrolls away from the top holds the tail there.
 * @param {{store: Store, tail: Tail, held: boolean, hold: (held: boolean) => void}} props */
function Log({ store, tail, held, hold }) {
    const scroller = useRef(/** @type {HTMLElement|null} */ (null));
    const [{ top, height }, place] = useState({ top: 0, height: 600 });
    useLayoutEffect(() => {
        const element = /** @type {HTMLElement} */ (scroller.current);
        const measure = () => {
            place({ top: Math.floor(element.scrollTop / ROW_PX), height: element.clientHeight });
            hold(element.scrollTop > ROW_PX / 2);
        };
        const resized = new ResizeObserver(measure);
        resized.observe(element);
        element.addEventListener("scroll", measure, { passive: true });
        return () => (resized.disconnect(), element.removeEventListener("scroll", measure));
    }, [tail]);
    useEffect(() => { if (!held) { scroller.current?.scrollTo({ top: 0 }); } }, [held]);
    const first = Math.max(0, Math.min(top, tail.length) - BEYOND);
    const last = Math.min(tail.length, top + Math.ceil(height / ROW_PX) + BEYOND);
    const space = (/** @type {number} */ rows) => rows ? html`<tr class="space" aria-hidden="true"><td colspan="6" style=${{ height: `${rows * ROW_PX}px` }}></td></tr>` : null;
    const rows = [];
    for (let age = first; age < last; age++) {
        const row = tail.at(age);
        rows.push(html`<${Row} key=${row.n} store=${store} row=${row} pick=${(/** @type {string} */ type) => change({ type }, { step: true })} />`);
    }
    return html`<div class="tail" ref=${scroller} tabindex="0" role="region" aria-label="Events, the newest first" data-testid="tail">
        <table><thead><tr><th scope="col" title="It came then, or a moment after: clocks are read now and then">Time</th><th scope="col">What</th><th scope="col">Type</th><th scope="col" class="number">Bytes</th>
            <th scope="col" class="number">Object</th><th scope="col" class="number">Heap</th></tr></thead>
        <tbody>${space(first)}${rows}${space(tail.length - last)}</tbody></table></div>`;
}

/** @param {{tail: Tail, address: Address}} props */
function Sums({ tail, address }) {
    const cache = useRef({ tail, at: -Infinity, sums: tail.byType() });
    if (cache.current.tail !== tail || performance.now() - cache.current.at > SUMS_EVERY_MS) {
        cache.current = { tail, at: performance.now(), sums: tail.byType() };
    }
    const { sums } = cache.current;
    return html`<section class="tail-sums" aria-labelledby="tail-sums"><h2 id="tail-sums">Most in this tail</h2>
        ${sums.length ? html`<div class="scroll" tabindex="0" role="group" aria-label="Most in this tail"><table data-testid="tail-sums"><thead><tr><th scope="col">Type</th><th scope="col" class="number">+</th><th scope="col" class="number">− count</th>
            <th scope="col" class="number">⟲ cycles</th><th scope="col" class="number">Bytes</th><th scope="col"><span class="unseen">Narrow</span></th></tr></thead>
        <tbody>${sums.slice(0, TYPES_SHOWN).map(([type, sum]) => html`<tr key=${type}><th scope="row"><a href=${address.to("types", { type })}>${type}</a></th>
            <td class="number">${format.exact(sum.alloc)}</td><td class="number">${format.exact(sum.free_refcount)}</td><td class="number">${format.exact(sum.free_cycle)}</td>
            <td class="number">${format.bytes(sum.bytes)}</td>
            <td>${address.get("type") === type ? null : html`<button type="button" class="small" onClick=${() => change({ type }, { step: true })}>only<span class="unseen"> ${type}</span></button>`}</td></tr>`)}</tbody></table></div>`
        : html`<p class="hint">Types appear with their events.</p>`}</section>`;
}

const CSV_COLUMNS = [
    { id: "after_mono_ns", label: "", value: (/** @type {StreamEvent} */ e) => e.at_mono_ns ?? e.after_mono_ns }, { id: "kind", label: "", value: (/** @type {StreamEvent} */ e) => e.kind },
    { id: "type", label: "", value: (/** @type {StreamEvent} */ e) => e.type }, { id: "bytes", label: "", value: (/** @type {StreamEvent} */ e) => e.bytes },
    { id: "object", label: "", value: (/** @type {StreamEvent} */ e) => e.object }, { id: "heap", label: "", value: (/** @type {StreamEvent} */ e) => e.heap },
    { id: "missed_before", label: "", value: (/** @type {StreamEvent} */ e) => e.missed_before }, { id: "lost_before", label: "", value: (/** @type {StreamEvent} */ e) => e.lost_before },
];

/** Oldest first, as a log is read. @param {Tail} tail */
function save(tail) {
    const events = [];
    for (let age = tail.length - 1; age >= 0; age--) {
        const { event } = tail.at(age);
        if (event) {
            events.push(event);
        }
    }
    download("tally-events.csv", csvOf(events, CSV_COLUMNS));
    announce(`${format.plural(events.length, "event")} saved as CSV`);
}

/** What became of everything. @param {{tail: Tail}} props */
function Account({ tail }) {
    const parts = [`${format.plural(tail.came, "event")} came`, tail.dropped && `${format.exact(tail.dropped)} of them dropped here, the oldest first`,
        tail.passed && `${format.exact(tail.passed)} passed while paused`, tail.missed && `${format.exact(tail.missed)} missed: faster than a page is told`,
        tail.lost && `${format.exact(tail.lost)} lost: overwritten before tallyd read them`].filter(Boolean);
    return html`<p class="facts" data-testid="tail-account" data-came=${tail.came} data-dropped=${tail.dropped} data-missed=${tail.missed} data-lost=${tail.lost}
        data-passed=${tail.passed}>${tail.since ? `Since ${format.clock(tail.since)}: ` : ""}${parts.join("; ")}.</p>`;
}

/** What stands in the tail's place while it is empty. @param {{store: Store, filtered: boolean}} props */
function Nothing({ store, filtered }) {
    const { stats } = store;
    if (stats?.state === "gone") {
        return html`<${Empty} title=${ENDED} testid="tail-gone"><p>${AFTER}</p><//>`;
    }
    if (stats?.events.level === "off") {
        return html`<${Empty} title="Events are off" testid="tail-off"><p>Counters go on exactly. To see single events, turn them on in the process's overview, or: <code>tallyctl set PROCESS events all</code></p><//>`;
    }
    return html`<${Empty} title="No events yet" testid="tail-empty"><p>${filtered ? "None that fits the filter has come since this view was opened." : "The program has neither allocated nor freed since this view was opened."}</p>
        ${filtered ? html`<p><button type="button" class="small" data-testid="tail-clear-filter" onClick=${() => change({ kind: null, type: null, min_bytes: null, heap: null }, { step: true })}>Clear the filter</button></p>` : null}<//>`;
}

/** How long there was no stream is told to the tail when the process is heard of again, which after a restart of tallyd may
 * be back later than tallyd: tallyd was away, this tab was hidden, or the page lagged so far behind that tallyd ended the
 * stream. Before the tail takes any event. @param {Store} store @param {Tail} tail */
function useAbsence(store, tail) {
    const since = useRef(0);
    useEffect(() => {
        since.current = 0;
        const leave = () => { since.current ||= tail.since ? Date.now() : 0; };
        const hide = () => document.hidden && leave();
        const back = () => {
            if (since.current) {
                tail.away(Date.now() - since.current);
                since.current = 0;
            }
        };
        const ends = [store.listen("offline", leave), store.listen("gap", leave), store.listen("stats", back), store.listen("events", back)];
        document.addEventListener("visibilitychange", hide);
        return () => {
            document.removeEventListener("visibilitychange", hide);
            ends.forEach((end) => end());
        };
    }, [tail]);
}

/** @param {import("../views.js").Given} given */
function Body({ store, address }) {
    const { process } = address;
    const filter = filterOf(address);
    const tail = useMemo(() => new Tail(), [process, filter]);
    const [stopped, stop] = useState(false);
    const [held, hold] = useState(false);
    useAbsence(store, tail);
    useEffect(() => store.listen("events", (frame) => { if (frame.id === process) { tail.take(frame, Date.now()); } }), [tail]);
    const types = useResource((signal) => api.get(`${api.one(process)}/types?sort=allocations&limit=1000`, signal), [process]);
    tail.paused = stopped || held;
    const rates = useTailRates(tail);
    const heaps = (store.stats?.heaps ?? []).filter(({ gone }) => !gone).map(({ n }) => n);
    return html`<${Filters} address=${address} heaps=${heaps} types=${types.data?.types ?? []} />
        <${Rates} store=${store} ...${rates} />
        <div class="tail-bar">
            <button type="button" class=${tail.paused ? "primary" : ""} data-testid="tail-pause" aria-pressed=${tail.paused}
                onClick=${() => { stop(!tail.paused); hold(false); announce(tail.paused ? "The tail goes on" : "The tail is paused"); }}>${tail.paused ? "Resume" : "Pause"}</button>
            <button type="button" data-testid="tail-clear" disabled=${!tail.length} onClick=${() => { tail.clear(); store.changed(); announce("The tail is empty"); }}>Clear</button>
            <button type="button" data-testid="tail-csv" disabled=${!tail.length} onClick=${() => save(tail)}>CSV</button>
            <${Account} tail=${tail} />
        </div>
        ${held && !stopped ? html`<p class="hint" role="status" data-testid="tail-held">Held where you scrolled to: ${format.plural(tail.passed, "event")} passed meanwhile. Back at the top it goes on.</p>` : null}
        ${tail.length && store.stats?.state === "gone" ? html`<p class="hint" role="status" data-testid="tail-gone">${ENDED}. ${AFTER}</p>` : null}
        <div class="tail-columns">
            ${tail.length ? html`<${Log} store=${store} tail=${tail} held=${held} hold=${hold} />` : html`<${Nothing} store=${store} filtered=${filter !== ""} />`}
            <${Sums} tail=${tail} address=${address} /></div>`;
}

/** @type {import("../views.js").View} */
export default { title: "Events", needsProcess: true, topics, Body };
