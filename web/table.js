/* A table of any length: sorted by its heads, filtered by a text, grouped, all kept in the address; of many rows only
 * those in sight are drawn. CSV gives all that the filter leaves. While somebody's hand is on it, rows keep their places.
 *
 * By keyboard it is one stop: arrows, Page Up and Down, Home and End move between rows, Enter opens one. Where rows can be
 * chosen, Space chooses, with Shift all up to there, Ctrl+A all, Escape none; groups open with Right and close with Left.
 * The focus stays with the table and a row is named by aria-activedescendant, so it outlives rows that scroll away; only
 * to a link or button within a row it goes by Right, to the next and back by Right and Left, and out again by Escape; Tab
 * goes through those of the active row, too. */

import { html, useEffect, useLayoutEffect, useMemo, useRef, useState } from "./vendor/htm-preact.js";
import { announce } from "./announce.js";
import { change, go } from "./address.js";
import { download } from "./download.js";
import * as format from "./format.js";
import { csvOf, filtered, grouped, held, nextOrder, sorted } from "./rows.js";

/** @template Row @typedef {import("./rows.js").Column<Row>} Column */
/** @template Row @typedef {import("./rows.js").Line<Row>} Line */
/** @typedef {import("./vendor/htm-preact.js").Child} Child */

/** Below this many rows all are drawn: find-in-page and printing have them. */
const VIRTUAL_FROM = 100;
const ROW_PX = 30;
const BEYOND = 10;
const HELD_MS = 3000;
const SETTLED_MS = 600;
const LEAST_REM = 9;

/** @template Row
 * @typedef {{id: string, caption: string, rows: readonly Row[], columns: Column<Row>[], keyOf: (row: Row) => string,
 *   address: import("./address.js").Address, textOf?: (row: Row) => string, order?: string, prefix?: string, linkOf?: (row: Row) => string,
 *   groupOf?: ((row: Row) => string)|null, selection?: {chosen: ReadonlySet<string>, change: (chosen: Set<string>) => void, nameOf: (row: Row) => string},
 *   attributesOf?: (row: Row) => Record<string, string|null>, empty?: Child, tools?: Child, total?: number}} Props
 * id            for tests and labels; the name of the CSV file
 * caption       what the rows are, for those who do not see them, such as "processes"
 * rows          the same array while nothing has changed, as are columns
 * textOf        what the filter looks at; no filter without it
 * order         where the address has none: + or - and a column's id
 * prefix        before its keys in the address (sort, filter, open), where a view has several tables
 * linkOf        where Enter, or a click on the row, leads
 * groupOf       rows of the same text stand below a head that has their sums
 * selection     rows can be chosen, by their keys
 * attributesOf  of the row's element, such as class and data-…
 * empty         stands where there are no rows at all
 * tools         beside the filter
 * total         how many there are, where `rows` are only some of them */

/** The lines in sight, and some beyond them. @param {number} count @param {{current: HTMLElement|null}} scroller @param {boolean} there */
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
    const page = Math.max(1, Math.floor(height / ROW_PX) - 2);
    if (count <= VIRTUAL_FROM) {
        return { first: 0, last: count, page };
    }
    const last = Math.min(count, top + Math.ceil(height / ROW_PX) + BEYOND);
    return { first: Math.max(0, Math.min(top, last) - BEYOND), last, page };
}

/** Marks it while columns lie beyond its right edge, which not every screen shows by a bar. @param {{current: HTMLElement|null}} scroller @param {boolean} there */
function useMore(scroller, there) {
    useLayoutEffect(() => {
        const element = scroller.current;
        if (!element) {
            return undefined;
        }
        const mark = () => element.toggleAttribute("data-more", element.scrollWidth - element.clientWidth - element.scrollLeft > 1);
        const resized = new ResizeObserver(mark);
        [element, ...element.children].forEach((one) => resized.observe(one));
        element.addEventListener("scroll", mark, { passive: true });
        return () => (resized.disconnect(), element.removeEventListener("scroll", mark));
    }, [there]);
}

/** What the filter leaves, in order. @template Row @param {Props<Row>} props @param {string} order @param {string} filter */
function useFound({ rows, columns, keyOf, textOf }, order, filter) {
    const touched = useRef(-Infinity);
    const last = useRef({ how: "", keys: /** @type {string[]} */ ([]) });
    const found = useMemo(() => {
        const left = textOf ? filtered(rows, filter, textOf) : rows;
        const how = `${order}\n${filter}`;
        const hold = last.current.how === how && performance.now() - touched.current < HELD_MS;
        const next = hold ? held(left, last.current.keys, keyOf) : sorted(left, columns, order);
        last.current = { how, keys: next.map(keyOf) };
        return next;
    }, [rows, columns, order, filter]);
    return { found, touch: () => { touched.current = performance.now(); } };
}

/** @template Row @param {{column: Column<Row>, order: string, set: (order: string) => void}} props */
function Head({ column, order, set }) {
    const sort = order.slice(1) !== column.id ? "none" : order[0] === "-" ? "descending" : "ascending";
    return html`<th scope="col" class="${column.number ? "number" : ""} ${column.stick ? "stick" : ""}" aria-sort=${column.unsorted ? null : sort} title=${column.help}
        data-column=${column.id}>${column.unsorted ? column.label : html`<button type="button" class="sort" onClick=${() => set(nextOrder(column, order))}>${column.label}<span
            class="arrow" aria-hidden="true">${{ none: "", ascending: "▲", descending: "▼" }[sort]}</span></button>`}</th>`;
}

/** @template Row @param {{props: Props<Row>, filter: string, found: readonly Row[]}} given */
function Toolbar({ props, filter, found }) {
    const { id, caption, rows, columns, prefix = "", textOf, tools, total = rows.length } = props;
    const save = () => {
        download(`tally-${id}.csv`, csvOf(found, columns));
        announce(`${format.plural(found.length, "row")} saved as CSV`);
    };
    return html`<div class="table-tools">
        ${textOf ? html`<input type="search" class="filter" placeholder="Filter" aria-label="Filter ${caption}" aria-keyshortcuts="/" data-testid="${id}-filter" value=${filter}
            title="All words must fit; -word: must not; quotes keep words together" onInput=${(/** @type {any} */ event) => change({ [`${prefix}filter`]: event.target.value })} />` : null}
        ${tools}
        <span class="count" data-testid="${id}-count">${found.length < total ? `${format.exact(found.length)} of ${format.plural(total, "row")}` : format.plural(total, "row")}</span>
        <button type="button" class="small" data-testid="${id}-csv" disabled=${!found.length} onClick=${save}>CSV<span class="unseen"> of ${caption}</span></button>
    </div>`;
}

/** A box that is neither on nor off where only some are chosen. @param {{state: boolean|null, label: string, kind?: string, testid?: string|null, onChange?: () => void}} props */
const Pick = ({ state, label, kind = "", testid = null, onChange }) => html`<input type="checkbox" class=${kind} tabindex=${kind ? "-1" : null} aria-label=${label} checked=${state === true}
    indeterminate=${state === null} data-testid=${testid} onChange=${onChange} />`;

/** All of them, none (false) or some (null). @param {readonly string[]} keys @param {ReadonlySet<string>} chosen */
const share = (keys, chosen) => keys.length > 0 && keys.every((key) => chosen.has(key)) ? true : keys.some((key) => chosen.has(key)) ? null : false;

/** What a cell has. @template Row @param {Column<Row>} column @param {Line<Row>} line @param {boolean} first @param {boolean} open */
function cell(column, { row, group, rows }, first, open) {
    if (row) {
        return column.show ? column.show(row) : column.format ? column.format(column.value(row)) : column.value(row);
    }
    const sum = column.sum?.(rows);
    return first ? html`<span class="twist" aria-hidden="true">${open ? "▾" : "▸"}</span> <strong>${group || "–"}</strong> <span class="pid">${format.exact(rows.length)}</span>`
        : sum === undefined ? null : column.format ? column.format(sum) : sum;
}

/** The links and buttons within a row. @param {Element|null} row @returns {HTMLElement[]} */
const within = (row) => [...row?.querySelectorAll(/** @type {"a"} */ ("a, button")) ?? []].filter((one) => !one.matches(":disabled"));

/** The keys on what stands within a row. @param {KeyboardEvent} event @returns {boolean} whether it was one of them */
function withinKey(event) {
    const target = /** @type {HTMLElement} */ (event.target);
    const row = /** @type {HTMLElement|null} */ (target.closest("tbody tr[data-key]"));
    const table = target.closest("table");
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!row || !table || step === undefined && !["Escape", "ArrowUp", "ArrowDown"].includes(event.key)) {
        return false;
    }
    const all = within(row);
    const next = step ? all[all.indexOf(target) + step] : null;
    (next ?? (step === 1 ? target : table)).focus();
    return step !== undefined || event.key === "Escape";
}

/** Tab reaches what stands within the active row, and within no other. @param {{current: HTMLElement|null}} scroller */
function useReachable(scroller) {
    useLayoutEffect(() => {
        const reachable = within(scroller.current?.querySelector("tr.active") ?? null);
        reachable.forEach((one) => { one.tabIndex = 0; });
        return () => reachable.forEach((one) => { one.tabIndex = -1; });
    });
}

/** The table's keys and clicks. @template Row @param {{props: Props<Row>, lines: Line<Row>[], found: readonly Row[], keys: string[], at: number, page: number,
 *   open: Set<string>, setActive: (key: string) => void, reveal: (index: number) => void, anchor: {current: string}}} given */
function handlers({ props, lines, found, keys, at, page, open, setActive, reveal, anchor }) {
    const { selection, linkOf, keyOf, prefix = "" } = props;
    const keysOf = (/** @type {Line<Row>[]} */ some) => some.flatMap(({ rows }) => rows.map(keyOf));
    const choose = (/** @type {number} */ index, /** @type {boolean} */ range) => {
        if (!selection) {
            return;
        }
        const chosen = new Set(selection.chosen);
        const from = range ? keys.indexOf(anchor.current) : -1;
        const some = from >= 0 ? lines.slice(Math.min(from, index), Math.max(from, index) + 1) : [lines[index]];
        const drop = from < 0 && share(keysOf(some), chosen) === true;
        keysOf(some).forEach((key) => drop ? chosen.delete(key) : chosen.add(key));
        if (from < 0) {
            anchor.current = keys[index];
        }
        selection.change(chosen);
    };
    const turn = (/** @type {string} */ group, /** @type {boolean} */ on) => {
        const next = new Set(open);
        on ? next.add(group) : next.delete(group);
        change({ [`${prefix}open`]: JSON.stringify([...next]).replace(/^\[\]$/, "") });
    };
    const enter = (/** @type {number} */ index) => {
        const { row, group } = lines[index];
        row ? linkOf && go(linkOf(row)) : turn(group, !open.has(group));
    };
    const move = (/** @type {number} */ to, /** @type {boolean} */ extend) => {
        const index = Math.max(0, Math.min(lines.length - 1, to));
        if (extend && selection) {
            anchor.current ||= keys[Math.max(0, at)];
            choose(index, true);
        }
        setActive(keys[index]);
        reveal(index);
    };
    const onKeyDown = (/** @type {KeyboardEvent} */ event) => {
        if (event.altKey) {
            return;
        }
        if (withinKey(event)) {
            event.preventDefault();
            return;
        }
        if (document.activeElement !== event.currentTarget) {
            return; /* a head's button, or one within a row */
        }
        const ctrl = event.ctrlKey || event.metaKey;
        const to = { ArrowDown: at + 1, ArrowUp: at < 0 ? 0 : at - 1, PageDown: at + page, PageUp: at - page, Home: 0, End: lines.length - 1 }[event.key];
        const line = lines[at];
        if (to !== undefined && lines.length) {
            move(to, event.shiftKey);
        } else if (event.key === "Enter" && line) {
            enter(at);
        } else if (event.key === " " && selection && line) {
            choose(at, event.shiftKey);
        } else if (event.key === "a" && ctrl && selection) {
            selection.change(new Set(found.map(keyOf)));
        } else if (event.key === "Escape" && selection?.chosen.size) {
            selection.change(new Set());
        } else if ((event.key === "ArrowRight" || event.key === "ArrowLeft") && line && !line.row) {
            turn(line.group, event.key === "ArrowRight");
        } else if (event.key === "ArrowRight" && line) {
            within(/** @type {HTMLElement} */ (event.currentTarget).querySelector("tr.active"))[0]?.focus();
        } else {
            return;
        }
        event.preventDefault();
    };
    const onClick = (/** @type {MouseEvent} */ event) => {
        const target = /** @type {HTMLElement} */ (event.target);
        const index = keys.indexOf(/** @type {HTMLElement|null} */ (target.closest("tr[data-key]"))?.dataset.key ?? "");
        if (index < 0 || target.closest("button, summary, input:not(.choose)")) {
            return;
        }
        setActive(keys[index]);
        if (selection && (target.closest(".pick") || event.ctrlKey || event.metaKey || event.shiftKey)) {
            choose(index, event.shiftKey);
            if (!target.closest(".choose")) {
                event.preventDefault();
            }
        } else if (!target.closest("a") && !getSelection()?.toString()) {
            enter(index);
        }
    };
    return { onKeyDown, onClick };
}

/** @param {string} text @returns {Set<string>} */
function openOf(text) {
    try {
        return new Set(text ? JSON.parse(text).map(String) : []);
    } catch {
        return new Set();
    }
}

/** @template Row @param {Props<Row>} props */
export function Table(props) {
    const { id, caption, rows, columns, keyOf, address, prefix = "", linkOf, groupOf, selection, attributesOf, empty } = props;
    const order = address.get(`${prefix}sort`) || (props.order ?? "");
    const filter = address.get(`${prefix}filter`);
    const opened = address.get(`${prefix}open`);
    const open = useMemo(() => openOf(opened), [opened]);
    const { found, touch } = useFound(props, order, filter);
    const lines = useMemo(() => /** @type {Line<any>[]} */ (groupOf ? grouped(found, groupOf, open, columns, order, keyOf)
        : found.map((row) => ({ key: keyOf(row), row, group: "", rows: [row] }))), [found, groupOf, open]);
    const keys = useMemo(() => lines.map(({ key }) => key), [lines]);
    const scroller = useRef(/** @type {HTMLElement|null} */ (null));
    const anchor = useRef("");
    const [active, setActive] = useState("");
    useReachable(scroller);
    const { first, last, page } = useWindow(lines.length, scroller, rows.length > 0);
    useMore(scroller, rows.length > 0);
    const at = keys.indexOf(active);
    useEffect(() => { scroller.current?.scrollTo({ top: 0 }); }, [order, filter, groupOf === null]);
    const typed = useRef(filter);
    useEffect(() => {
        const timer = typed.current === filter ? undefined : setTimeout(() => announce(`${format.plural(found.length, "row")} found`), SETTLED_MS);
        typed.current = filter;
        return () => clearTimeout(timer);
    }, [filter]);

    const reveal = (/** @type {number} */ index) => {
        const element = /** @type {HTMLElement} */ (scroller.current);
        const room = element.clientHeight - ROW_PX; /* the head hides a row */
        element.scrollTop = Math.max(Math.min(element.scrollTop, index * ROW_PX), (index + 1) * ROW_PX - room);
    };
    if (!rows.length && empty) {
        return empty;
    }
    const { onKeyDown, onClick } = handlers({ props, lines, found, keys, at, page, open, setActive, reveal, anchor });
    const least = columns.reduce((sum, { width = LEAST_REM }) => sum + width, selection ? 2.2 : 0);
    const space = (/** @type {number} */ count) => count > 0 ? html`<tr class="space" aria-hidden="true"><td colspan=${columns.length + (selection ? 1 : 0)}
        style=${{ height: `${count * ROW_PX}px` }}></td></tr>` : null;
    return html`<${Toolbar} props=${props} filter=${filter} found=${found} />
        <div class="table-scroll" ref=${scroller} onPointerMove=${touch} onKeyDown=${touch}>
        <table class="grid ${linkOf ? "opens" : ""} ${selection ? "picks" : ""}" role=${groupOf ? "treegrid" : "grid"} tabindex="0" aria-label=${caption} aria-rowcount=${lines.length + 1}
            aria-multiselectable=${selection ? "true" : null} aria-activedescendant=${at >= first && at < last ? `${id}-row-${at}` : null} data-testid=${id}
            style=${{ minWidth: `${least}rem` }} onKeyDown=${onKeyDown} onClick=${onClick}>
            <colgroup>${selection ? html`<col key="pick" style=${{ width: "2.2rem" }} />` : null}${columns.map((column) => html`<col key=${column.id}
                style=${{ width: column.width ? `${column.width}rem` : "" }} />`)}</colgroup>
            <thead><tr aria-rowindex="1">
                ${selection ? html`<th scope="col" class="pick"><${Pick} state=${share(found.map(keyOf), selection.chosen)} label="Choose all ${format.exact(found.length)}" testid="${id}-all"
                    onChange=${() => selection.change(new Set(share(found.map(keyOf), selection.chosen) ? [] : found.map(keyOf)))} /></th>` : null}
                ${columns.map((column) => html`<${Head} key=${column.id} column=${column} order=${order}
                    set=${(/** @type {string} */ next) => change({ [`${prefix}sort`]: next === props.order ? null : next })} />`)}
            </tr></thead>
            <tbody>${space(first)}${lines.slice(first, last).map((line, offset) => {
                const index = first + offset;
                const { key, row, group } = line;
                const chosen = selection ? share(line.rows.map(keyOf), selection.chosen) : false;
                const { class: kind, ...attributes } = (row && attributesOf?.(row)) ?? {};
                return html`<tr key=${key} id="${id}-row-${index}" data-key=${key} ...${attributes} aria-rowindex=${index + 2} aria-level=${groupOf ? row ? 2 : 1 : null}
                    aria-expanded=${row ? null : String(open.has(group))} aria-selected=${selection ? String(chosen === true) : null}
                    class="${kind ?? ""} ${row ? "" : "group"} ${key === active ? "active" : ""} ${chosen ? "chosen" : ""}">
                    ${selection ? html`<td class="pick"><${Pick} state=${chosen} kind="choose" label="Choose ${row ? selection.nameOf(row) : group}" /></td>` : null}
                    ${columns.map((column, n) => html`<td key=${column.id} class="${column.number ? "number" : ""} ${column.stick ? "stick" : ""}">${
                        cell(column, line, n === 0, open.has(group))}</td>`)}</tr>`;
            })}${space(lines.length - last)}</tbody>
        </table></div>
        ${rows.length && !found.length ? html`<p class="hint" data-testid="${id}-none">Nothing matches “${filter}”.
            <button type="button" class="small" onClick=${() => change({ [`${prefix}filter`]: null })}>Clear the filter</button></p>` : null}`;
}
