/* A tree whose branches come when they are opened, by the ARIA tree pattern: arrows move, open and close, Home and End go
 * to the ends, letters find, Enter follows. One stop for the Tab key. What is open stands in the address. */

import { html, useEffect, useLayoutEffect, useRef, useState } from "./vendor/htm-preact.js";

/** @typedef {import("./vendor/htm-preact.js").Child} Child */
/** @template Item @typedef {{items: Item[], next: string|null}} Page */
/** @template Item @typedef {{items: Item[], next: string|null, loading: boolean, problem: string}} Branch */
/** @template Item
 * @typedef {{id: string, level: number, at: number, of: number, parent: string, item: Item|null, text: string}} Line
 * item  null: the line that brings more, or says that it comes or failed; text has its words */

/** @template Item
 * @typedef {{label: string, load: (key: string, cursor: string, signal: AbortSignal) => Promise<Page<Item>>, keyOf: (item: Item) => string,
 *   opens: (item: Item) => boolean, nameOf: (item: Item) => string, show: (item: Item) => Child, linkOf: (item: Item) => string, go: (link: string) => void,
 *   open: ReadonlySet<string>, setOpen: (open: Set<string>) => void, testid: string}} Props
 * load  the children of a key, from a cursor on; the key of the root is empty */

const ROOT = "";
const MORE = "…";

/** @template Item @param {ReadonlyMap<string, Branch<Item>>} branches @param {Props<Item>} props @returns {Line<Item>[]} */
function linesOf(branches, { keyOf, open, nameOf }) {
    /** @type {Line<Item>[]} */
    const lines = [];
    const walk = (/** @type {string} */ key, /** @type {number} */ level) => {
        const branch = branches.get(key);
        const count = branch?.items.length ?? 0;
        const of = branch?.next || branch?.loading ? -1 : count;
        branch?.items.forEach((item, index) => {
            const own = keyOf(item);
            lines.push({ id: own, level, at: index + 1, of, parent: key, item, text: nameOf(item) });
            if (open.has(own)) {
                walk(own, level + 1);
            }
        });
        if (!branch || branch.loading || branch.problem || branch.next) {
            const text = !branch || branch.loading ? "Reading…" : branch.problem ? `${branch.problem}: try again` : "More";
            lines.push({ id: `${key}${MORE}`, level, at: count + 1, of, parent: key, item: null, text });
        }
    };
    walk(ROOT, 1);
    return lines;
}

/** @template Item @param {Props<Item>} props */
function useBranches({ load, open }) {
    const [branches, setBranches] = useState(/** @type {ReadonlyMap<string, Branch<Item>>} */ (new Map()));
    const over = useRef(new AbortController());
    const asked = useRef(/** @type {Set<string>} */ (new Set()));
    const more = async (/** @type {string} */ key) => {
        const old = latest.current.get(key);
        const put = (/** @type {Branch<Item>} */ branch) => setBranches((all) => (latest.current = new Map(all).set(key, branch)));
        put({ items: old?.items ?? [], next: old?.next ?? null, loading: true, problem: "" });
        try {
            const page = await load(key, old?.next ?? "", over.current.signal);
            put({ items: [...old?.items ?? [], ...page.items], next: page.next, loading: false, problem: "" });
        } catch (error) {
            if (!over.current.signal.aborted) {
                put({ items: old?.items ?? [], next: old?.next ?? null, loading: false, problem: /** @type {Error} */ (error).message });
            }
        }
    };
    const latest = useRef(branches);
    useEffect(() => () => over.current.abort(), []);
    useEffect(() => {
        for (const key of [ROOT, ...open]) {
            if (!asked.current.has(key)) {
                asked.current.add(key);
                more(key);
            }
        }
    }, [open]);
    return { branches, more };
}

/** @template Item @param {Props<Item>} props */
export function Tree(props) {
    const { label, opens, show, linkOf, go, open, setOpen, testid } = props;
    const { branches, more } = useBranches(props);
    const lines = linesOf(branches, props);
    const [active, setActive] = useState("");
    const moved = useRef(false);
    const tree = useRef(/** @type {HTMLElement|null} */ (null));
    const at = Math.max(0, lines.findIndex(({ id }) => id === active));
    useLayoutEffect(() => {
        if (moved.current) {
            moved.current = false;
            /** @type {HTMLElement|null|undefined} */ (tree.current?.querySelector('[tabindex="0"]'))?.focus();
        }
    });
    const move = (/** @type {number} */ to) => {
        const line = lines[Math.max(0, Math.min(lines.length - 1, to))];
        if (line) {
            moved.current = true;
            setActive(line.id);
        }
    };
    const toggle = (/** @type {string} */ key) => {
        const next = new Set(open);
        next.has(key) ? next.delete(key) : next.add(key);
        setOpen(next);
    };
    const use = (/** @type {Line<Item>} */ line) => {
        if (line.item) {
            go(linkOf(line.item));
        } else if (line.text !== "Reading…") {
            const before = lines.indexOf(line);
            more(line.parent);
            move(before);
        }
    };
    const typed = (/** @type {string} */ letter) => {
        const after = [...lines.slice(at + 1), ...lines.slice(0, at + 1)];
        const found = after.find(({ text }) => text.toLowerCase().startsWith(letter));
        found && move(lines.indexOf(found));
    };
    const onKeyDown = (/** @type {KeyboardEvent} */ event) => {
        const line = lines[at];
        if (!line || event.altKey || event.ctrlKey || event.metaKey) {
            return;
        }
        const opened = line.item && open.has(line.id);
        const canOpen = line.item && opens(line.item);
        switch (event.key) {
        case "ArrowDown": move(at + 1); break;
        case "ArrowUp": move(at - 1); break;
        case "Home": move(0); break;
        case "End": move(lines.length - 1); break;
        case "ArrowRight": opened ? move(at + 1) : canOpen && toggle(line.id); break;
        case "ArrowLeft": opened ? toggle(line.id) : line.parent !== ROOT && move(lines.findIndex(({ id }) => id === line.parent)); break;
        case "Enter": use(line); break;
        case " ": canOpen ? toggle(line.id) : !line.item && use(line); break;
        default:
            if (event.key.length !== 1) {
                return;
            }
            typed(event.key.toLowerCase());
        }
        event.preventDefault();
    };
    return html`<ul class="tree" role="tree" aria-label=${label} ref=${tree} onKeyDown=${onKeyDown} data-testid=${testid}>${lines.map((line, index) => {
        const { item } = line;
        const opened = item !== null && open.has(line.id);
        const branch = item !== null && opens(item);
        return html`<li key=${line.id} role="treeitem" aria-level=${line.level} aria-posinset=${line.at} aria-setsize=${line.of} aria-expanded=${branch ? String(opened) : null}
            tabindex=${index === at ? "0" : "-1"} data-key=${line.id} style=${{ paddingLeft: `${(line.level - 1) * 18 + 6}px` }}
            onFocus=${() => line.id !== active && setActive(line.id)}
            onClick=${(/** @type {MouseEvent} */ event) => {
                const onTwist = /** @type {HTMLElement} */ (event.target).closest(".twist");
                setActive(line.id);
                branch && onTwist ? toggle(line.id) : use(line);
            }}><span class="twist" aria-hidden="true">${branch ? opened ? "▾" : "▸" : ""}</span>${item !== null ? show(item) : html`<span class="more">${line.text}</span>`}</li>`;
    })}</ul>`;
}
