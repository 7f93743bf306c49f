/* Lists that tallyd gives a page at a time. All of one at once, where the page sorts and filters them itself; or page by
 * page, where there are millions: then the address says which. */

import { html } from "./vendor/htm-preact.js";
import { change } from "./address.js";
import * as api from "./api.js";
import * as format from "./format.js";

const PAGE_ROWS = 1000;
const ROWS_MOST = 100_000;
/** By path and cursor: the cursor of the page before, for those that were seen. @type {Map<string, string>} */
const before = new Map();
const SEEN_MOST = 500;

/** All rows of a list. @template Row @param {string} path @param {Record<string, string>} query @param {string} member @param {AbortSignal} signal
 * @returns {Promise<{rows: Row[], first: any}>} first: the first page, for what else it says */
export async function all(path, query, member, signal) {
    /** @type {Row[]} */
    const rows = [];
    let first = /** @type {any} */ (null);
    let cursor = "";
    do {
        const page = await api.get(`${path}?${new URLSearchParams({ ...query, limit: String(PAGE_ROWS), ...cursor ? { cursor } : {} })}`, signal);
        first ??= page;
        for (const row of page[member]) {
            rows.push(row);
        }
        cursor = page.next_cursor ?? "";
    } while (cursor && rows.length < ROWS_MOST);
    return { rows, first };
}

/** The cursor that the address holds for this order; a cursor is good for its own alone. @param {import("./address.js").Address} address @param {string} key @param {string} order */
export function cursorOf(address, key, order) {
    const [kept, cursor = ""] = address.get(key).split("~");
    return kept === order ? cursor : "";
}

/** First, previous and next page, where there is more than one. `of` names the list, so that lists do not mix up.
 * @param {{address: import("./address.js").Address, name: string, of: string, order?: string, next: string|null, what: string, shown: number}} props name: the address's key */
export function Pages({ address, name, of, order = "", next, what, shown }) {
    const cursor = cursorOf(address, name, order);
    if (!cursor && !next) {
        return null;
    }
    const previous = before.get(`${of} ${cursor}`);
    const go = (/** @type {string} */ to) => {
        if (to && to === next) {
            before.set(`${of} ${to}`, cursor);
            for (const key of before.keys()) {
                if (before.size <= SEEN_MOST) {
                    break;
                }
                before.delete(key);
            }
        }
        change({ [name]: to ? `${order}~${to}` : null }, { step: true });
    };
    return html`<nav class="pages" aria-label="Pages of ${what}" data-testid="${name}-pages">
        <button type="button" class="small" disabled=${!cursor} onClick=${() => go("")} data-testid="${name}-first">First</button>
        <button type="button" class="small" disabled=${!cursor || previous === undefined} onClick=${() => go(previous ?? "")} data-testid="${name}-previous">Previous</button>
        <button type="button" class="small" disabled=${!next} onClick=${() => go(next ?? "")} data-testid="${name}-next">Next</button>
        <span class="remark">${format.plural(shown, "row")} on this page</span></nav>`;
}
