/* A process that is gone: how it ended, what its heaps were doing, its last collections and events. All of it comes from
 * memory that tallyd still holds. */

import { html } from "./vendor/htm-preact.js";
import * as api from "./api.js";
import { Glyph } from "./board.js";
import * as format from "./format.js";
import { reasonOf } from "./reasons.js";
import { useResource } from "./resource.js";

const COLLECTIONS_SHOWN = 6;
const EVENTS_SHOWN = 12;
/** The kernel tells the exit code a little after the connection closes, if it does. */
const SETTLED_MS = 10_000;
const AGAIN_MS = 1000;

/** @typedef {import("./store.js").Store} Store @typedef {import("./types").Collection} Collection */
/** @typedef {{kind: string, type: string|null, bytes: number|null, object: number|null, heap?: number}} Event */
/** @typedef {{exit: {kind: "exit", code: number}|{kind: "signal", signal: number, name: string|null, core: boolean}|null,
 *   heaps: {n: number, was: string, gone_before: boolean, last_events: Event[]}[], last_collections: Collection[]}} PostMortem */

const ENDS = { bye: "It said goodbye: an ordinary end.", exited: "It ended without a goodbye.", closed: "Its connection closed without a goodbye." };
const KINDS = { alloc: "allocated", free_refcount: "freed by count", free_cycle: "freed as a cycle", collection_start: "a collection began", collection_stop: "a collection ended" };

/** @param {PostMortem["exit"]} exit @param {string|null} end @returns {[tone: string, text: string]} */
function ending(exit, end) {
    if (exit?.kind === "signal") {
        return ["bad", `Killed by ${exit.name ?? `signal ${exit.signal}`}${exit.core ? ", a core was dumped" : ""}.`];
    }
    if (exit?.kind === "exit") {
        return [exit.code ? "bad" : "", `Exited with code ${exit.code}.`];
    }
    return [end === "bye" ? "" : "warn", `${ENDS[/** @type {keyof typeof ENDS} */ (end)] ?? "How is not known."}${end === "bye" ? "" : " This kernel does not tell the exit code."}`];
}

/** @param {{event: Event}} props */
const EventLine = ({ event: { kind, type, bytes, object } }) => html`<li><span class="what">${KINDS[/** @type {keyof typeof KINDS} */ (kind)] ?? kind}</span>
    ${type ? html` <span class="code">${type}</span>` : null}${bytes === null ? null : html` <span class="number">${format.bytes(bytes)}</span>`}
    ${object === null ? null : html` <span class="pid">#${object}</span>`}</li>`;

/** @param {{store: Store, address: import("./address.js").Address}} props */
export function CrashCard({ store, address }) {
    const { data, problem } = useResource((signal) => api.get(api.one(store.chosen), signal), [store.chosen, "gone"],
        { every: ({ gone_at, post_mortem }) => !post_mortem?.exit && Date.now() - Date.parse(gone_at ?? "") < SETTLED_MS ? AGAIN_MS : 0 });
    const mortem = /** @type {PostMortem|null} */ (data?.post_mortem ?? null);
    const [tone, text] = ending(mortem?.exit ?? null, data?.end ?? null);
    return html`<section class="panel crash ${tone}" aria-labelledby="crash-title" data-testid="controls-gone">
        <h3 id="crash-title">Ended${store.summary?.gone_at ? html` <time datetime=${store.summary.gone_at}>${format.dateTime(store.summary.gone_at)}</time>` : ""}</h3>
        ${problem ? html`<p class="hint">${problem.message}</p>` : !data ? html`<p class="hint">Reading what is left of it…</p>` : html`
            <p data-testid="ending"><strong>${text}</strong> The figures below are its last, and there is nothing left to control.</p>
            <div class="crash-parts">
                <div><h4>What its heaps were doing</h4><ul data-testid="state-markers">${mortem?.heaps.map(({ n, was, gone_before }) => html`<li key=${n}>heap ${n}: <strong>${was.replace(/_/g, " ")}</strong>${gone_before ? " (given up before)" : ""}</li>`)}</ul></div>
                <div><h4>Last collections</h4>${mortem?.last_collections.length ? html`<ul data-testid="last-collections">${mortem.last_collections.slice(0, COLLECTIONS_SHOWN).map((c) => html`<li key=${`${c.heap}/${c.sequence}`}>
                    <a href=${address.to("collections", { collection: `${c.heap}/${c.sequence}` })}><${Glyph} name=${c.reason} /> ${format.clock(c.started_at)}</a> ${reasonOf(c.reason).label}, generation ${c.generation}:
                    collected ${format.exact(c.collected)} in <span class="number">${format.duration(c.pause_ns)}</span></li>`)}</ul>` : html`<p class="hint">None had run.</p>`}</div>
                ${mortem?.heaps.filter(({ last_events }) => last_events.length).map(({ n, last_events }) => html`<div key=${n}><h4>Last events${mortem.heaps.length > 1 ? ` of heap ${n}` : ""}</h4>
                    <ol class="last-events" data-testid="last-events">${last_events.slice(-EVENTS_SHOWN).reverse().map((event, index) => html`<${EventLine} key=${index} event=${event} />`)}</ol></div>`)}
            </div>`}
    </section>`;
}
