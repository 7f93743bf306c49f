/* Of a process with several heaps: all of them, or one, as the address says. */

import { html } from "./vendor/htm-preact.js";
import { go } from "./address.js";
import * as format from "./format.js";

/** More heaps than this are chosen from a list. */
const SEGMENTS_MOST = 8;

/** All heaps, or one. @param {{stats: import("./types").Stats, heap: number, address: import("./address.js").Address}} props */
export function HeapSwitch({ stats, heap, address }) {
    const { heaps } = stats;
    if (heaps.length < 2 && !heap) {
        return null;
    }
    const link = (/** @type {number} */ n) => address.with({ heap: n || null });
    if (heaps.length > SEGMENTS_MOST) {
        return html`<label class="heaps">heap <select data-testid="heap-choice" value=${String(heap)} onChange=${(/** @type {any} */ event) => go(link(Number(event.target.value)))}>
            <option value="0">all ${heaps.length}</option>${heaps.map(({ n, state }) => html`<option key=${n} value=${String(n)}>${n}: ${state}</option>`)}</select></label>`;
    }
    return html`<nav class="heaps segments" aria-label="Heaps" data-testid="heaps"><a href=${link(0)} aria-current=${heap === 0 ? "true" : null}>all ${heaps.length} heaps</a>
        ${heaps.map(({ n, state, gone, live_bytes }) => html`<a key=${n} href=${link(n)} aria-current=${heap === n ? "true" : null}
            title="${state}, ${format.bytes(live_bytes)} live">heap ${n}${gone ? " (gone)" : ""}</a>`)}</nav>`;
}
