/* A table of any length: sorted by its heads, filtered by a text, both kept in the address; of many rows only those
 * in sight are drawn. CSV gives all that the filter leaves.
 *
 * By keyboard it is one stop: arrows, Page Up and Down, Home and End move between rows, Enter opens one. Where rows can be
 * chosen, Space chooses, with Shift up to there, Ctrl+A all, Escape none. The focus stays with the table and a row
 * is named by aria-activedescendant, so it outlives rows that scroll away. */

import { html, useEffect, useLayoutEffect, useMemo, useRef, useState } from "./vendor/htm-preact.js";
import { announce } from "./announce.js";
import { change, go } from "./address.js";
import * as format from "./format.js";
import { csvOf, filtered, nextOrder, sorted } from "./rows.js";

/** @template Row @typedef {import("./rows.js").Column<Row>} Column */
/** @typedef {import("./vendor/htm-preact.js").Child} Child */

/** Below this many rows all are drawn: find-in-page and printing have them. */
const VIRTUAL_FROM = 100;
const ROW_PX = 30;
const BEYOND = 10;
const PAGE_ROWS = 15;

/** @template Row
 * @typedef {{id: string, caption: string, rows: readonly Row[], columns: Column<Row>[], keyOf: (row: Row) => string,
 *   address: import("./address.js").Address, textOf?: (row: Row) => string, order?: string, prefix?: string, linkOf?: (row: Row) => string,
 *   selection?: {chosen: ReadonlySet<string>, change: (chosen: Set<string>) => void, nameOf: (row: Row) => string},
 *   attributesOf?: (row: Row) => Record<string, string|null>, empty?: Child, tools?: Child, total?: number}} Props
 * id            for tests and labels; the name of the CSV file
 * caption       what the table is, for those who do not see it
 * textOf        what the filter looks at; no filter without it
 * order         where the address has none: + or - and a column's id
 * prefix        before its keys in the address, where a view has several tables
 * linkOf        where Enter, or a click on the row, leads
 * selection     rows can be chosen, by their keys
 * attributesOf  of the row's element, such as class and data-…
 * empty         stands where there are no rows at all
 * tools         beside the filter
 * total         how many there are, where `rows` are only some of them */

/** Saves a CSV. @param {string} name of the file @param {string} text */
export function download(name, text) {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "text/csv;charset=utf-8" }));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/** The rows in sight, and some beyond them. @param {number} count @param {{current: HTMLElement|null}} scroller @param {boolean} there */
function useWindow(count, scroller, there) {
    const [{ top, height }, setPlace] = useState({ top: 0, height: 900 });
    useLayoutEffect(() => {
        const element = scroller.current;
        if (!element) {
            return undefined;
        }
        const measure = () => setPlace((old) => {
            const place = { top: Math.floor(element.scrollTop / ROW_PX), height: element.clientHeight };
            return place.top === old.top && place.height === old.height ? old : place;
        });
        const resized = new ResizeObserver(measure);
        resized.observe(element);
        element.addEventListener("scroll", measure, { passive: true });
        return () => (resized.disconnect(), element.removeEventListener("scroll", measure));
    }, [there]);
    if (count <= VIRTUAL_FROM) {
        return { first: 0, last: count };
    }
    const last = Math.min(count, top + Math.ceil(height / ROW_PX) + BEYOND);
    return { first: Math.max(0, Math.min(top, last) - BEYOND), last };
}

/** @template Row @param {{column: Column<Row>, order: string, set: (order: string) => void}} props */
function Head({ column, order, set }) {
    const sort = order.slice(1) !== column.id ? "none" : order[0] === "-" ? "descending" : "ascending";
    return html`<th scope="col" class=${column.number ? "number" : ""} aria-sort=${column.unsorted ? null : sort} title=${column.help} data-column=${column.id}>
        ${column.unsorted ? column.label : html`<button type="button" class="sort" onClick=${() => set(nextOrder(column, order))}>${column.label}<span
            class="arrow" aria-hidden="true">${{ none: "", ascending: "▲", descending: "▼" }[sort]}</span></button>`}</th>`;
}

/** @template Row @param {{props: Props<Row>, order: string, filter: string, found: readonly Row[]}} given */
function Toolbar({ props, order, filter, found }) {
    const { id, caption, rows, columns, prefix = "", textOf, tools, total = rows.length } = props;
    const save = () => {
        download(`tally-${id}.csv`, csvOf(found, columns));
        announce(`${format.plural(found.length, "row")} saved as CSV`);
    };
    return html`<div class="table-tools" data-order=${order}>
        ${textOf ? html`<input type="search" class="filter" placeholder="Filter" aria-label="Filter ${caption}" data-testid="${id}-filter" value=${filter}
            onInput=${(/** @type {any} */ event) => change({ [`${prefix}filter`]: event.target.value })} />` : null}
        ${tools}
        <span class="count" data-testid="${id}-count">${found.length < total ? `${format.exact(found.length)} of ${format.plural(total, "row")}` : format.plural(total, "row")}</span>
        <button type="button" class="small" data-testid="${id}-csv" disabled=${!found.length} onClick=${save}>CSV<span class="unseen"> of ${caption}</span></button>
    </div>`;
}

/** @template Row @param {Props<Row>} props */
export function Table(props) {
    const { id, caption, rows, columns, keyOf, address, textOf, prefix = "", linkOf, selection, attributesOf, empty } = props;
    const order = address.get(`${prefix}sort`) || (props.order ?? "");
    const filter = address.get(`${prefix}filter`);
    const found = useMemo(() => sorted(textOf ? filtered(rows, filter, textOf) : rows, columns, order), [rows, columns, order, filter]);
    const scroller = useRef(/** @type {HTMLElement|null} */ (null));
    const [active, setActive] = useState("");
    const anchor = useRef("");
    const { first, last } = useWindow(found.length, scroller, rows.length > 0);
    const keys = useMemo(() => found.map(keyOf), [found]);
    const at = keys.indexOf(active);

    useEffect(() => { scroller.current?.scrollTo({ top: 0 }); }, [order, filter]);

    const reveal = (/** @type {number} */ index) => {
        const element = /** @type {HTMLElement} */ (scroller.current);
        const head = element.querySelector("thead")?.clientHeight ?? 0;
        const top = index * ROW_PX;
        if (top < element.scrollTop) {
            element.scrollTop = top;
        } else if (top + ROW_PX + head > element.scrollTop + element.clientHeight) {
            element.scrollTop = top + ROW_PX + head - element.clientHeight;
        }
    };
    const choose = (/** @type {number} */ index, /** @type {{range?: boolean, only?: boolean}} */ how) => {
        if (!selection) {
            return;
        }
        const chosen = new Set(how.only ? [] : selection.chosen);
        const from = how.range ? keys.indexOf(anchor.current) : -1;
        if (from >= 0) {
            keys.slice(Math.min(from, index), Math.max(from, index) + 1).forEach((key) => chosen.add(key));
        } else {
            selection.chosen.has(keys[index]) && !how.only ? chosen.delete(keys[index]) : chosen.add(keys[index]);
            anchor.current = keys[index];
        }
        selection.change(chosen);
    };
    const open = (/** @type {number} */ index) => found[index] && linkOf && go(linkOf(found[index]));

    const onKeyDown = (/** @type {KeyboardEvent} */ event) => {
        const target = /** @type {HTMLElement} */ (event.target);
        if (target.tagName !== "TABLE") {
            return; /* a head's button */
        }
        const last_ = found.length - 1;
        const to = { ArrowDown: at + 1, ArrowUp: at < 0 ? 0 : at - 1, PageDown: at + PAGE_ROWS, PageUp: at - PAGE_ROWS, Home: 0, End: last_ }[event.key];
        if (to !== undefined && !event.altKey && !event.metaKey && found.length) {
            const index = Math.max(0, Math.min(last_, to));
            if (event.shiftKey && selection) {
                anchor.current ||= keys[Math.max(0, at)];
                choose(index, { range: true });
            }
            setActive(keys[index]);
            reveal(index);
        } else if (event.key === "Enter" && at >= 0) {
            open(at);
        } else if (event.key === " " && selection && at >= 0) {
            choose(at, { range: event.shiftKey });
        } else if (event.key === "a" && (event.ctrlKey || event.metaKey) && selection) {
            selection.change(new Set(keys));
        } else if (event.key === "Escape" && selection?.chosen.size) {
            selection.change(new Set());
        } else {
            return;
        }
        event.preventDefault();
    };
    const onClick = (/** @type {MouseEvent} */ event) => {
        const target = /** @type {HTMLElement} */ (event.target);
        const row = /** @type {HTMLElement|null} */ (target.closest("tr[data-key]"));
        const index = row ? keys.indexOf(row.dataset.key ?? "") : -1;
        if (index < 0 || target.closest("button, summary, input:not(.choose)")) {
            return;
        }
        setActive(keys[index]);
        if (selection && (target.closest(".choose") || event.ctrlKey || event.metaKey || event.shiftKey)) {
            choose(index, { range: event.shiftKey });
            if (!target.closest(".choose")) {
                event.preventDefault();
            }
        } else if (!target.closest("a") && !getSelection()?.toString()) {
            open(index);
        }
    };

    if (!rows.length && empty) {
        return empty;
    }
    const allChosen = selection && found.length > 0 && keys.every((key) => selection.chosen.has(key));
    const width = columns.length + (selection ? 1 : 0);
    const space = (/** @type {number} */ count) => count ? html`<tr class="space" aria-hidden="true"><td colspan=${width} style=${{ height: `${count * ROW_PX}px` }}></td></tr>` : null;
    return html`<${Toolbar} props=${props} order=${order} filter=${filter} found=${found} />
        <div class="table-scroll" ref=${scroller}>
        <table class="grid ${linkOf ? "opens" : ""}" role="grid" tabindex="0" aria-label=${caption} aria-rowcount=${found.length + 1} data-testid=${id}
            aria-multiselectable=${selection ? "true" : null} aria-activedescendant=${at >= first && at < last ? `${id}-row-${at}` : null}
            onKeyDown=${onKeyDown} onClick=${onClick}>
            <colgroup>${selection ? html`<col style=${{ width: "2.2rem" }} />` : null}${columns.map((column) => html`<col key=${column.id}
                style=${{ width: column.width ? `${column.width}rem` : "" }} />`)}</colgroup>
            <thead><tr aria-rowindex="1">
                ${selection ? html`<th scope="col" class="pick"><input type="checkbox" aria-label="Choose all ${found.length} rows" checked=${allChosen} data-testid="${id}-all"
                    onChange=${() => selection.change(new Set(allChosen ? [] : keys))} /></th>` : null}
                ${columns.map((column) => html`<${Head} key=${column.id} column=${column} order=${order}
                    set=${(/** @type {string} */ next) => change({ [`${prefix}sort`]: next === props.order ? null : next })} />`)}
            </tr></thead>
            <tbody>${space(first)}${found.slice(first, last).map((row, offset) => {
                const index = first + offset;
                const key = keys[index];
                const chosen = selection?.chosen.has(key);
                const { class: kind, ...attributes } = attributesOf?.(row) ?? {};
                return html`<tr key=${key} id="${id}-row-${index}" data-key=${key} ...${attributes} aria-rowindex=${index + 2}
                    aria-selected=${selection ? String(chosen) : null} class="${kind ?? ""} ${key === active ? "active" : ""} ${chosen ? "chosen" : ""}">
                    ${selection ? html`<td class="pick"><input type="checkbox" class="choose" tabindex="-1" checked=${chosen}
                        aria-label="Choose ${selection.nameOf(row)}" /></td>` : null}
                    ${columns.map((column) => html`<td key=${column.id} class=${column.number ? "number" : ""}>${column.show ? column.show(row) : column.value(row)}</td>`)}</tr>`;
            })}${space(found.length - last)}</tbody>
        </table></div>
        ${rows.length && !found.length ? html`<p class="hint" data-testid="${id}-none">Nothing matches “${filter}”.
            <button type="button" class="small" onClick=${() => change({ [`${prefix}filter`]: null })}>Clear the filter</button></p>` : null}`;
}
