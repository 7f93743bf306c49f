/* The way to any view and any process by typing a part of its name. */

import { html, useLayoutEffect, useMemo, useRef, useState } from "./vendor/htm-preact.js";
import { go, present } from "./address.js";
import * as format from "./format.js";
import { modal } from "./modal.js";
import { filtered } from "./rows.js";
import { showHelp } from "./shortcuts.js";
import { CHOICES, setTheme } from "./theme.js";
import { VIEWS } from "./views.js";

const SHOWN = 100;

/** @typedef {{kind: string, text: string, more: string, act: () => void}} Place */

/** @param {import("./store.js").Store} store @param {boolean} processesOnly @returns {Place[]} */
function placesOf(store, processesOnly) {
    const address = present();
    const row = VIEWS.find(({ id }) => id === address.view);
    const view = row?.needsProcess ? row.id : "process";
    const processes = [...store.fleet?.processes ?? []].sort((a, b) => Number(a.state === "gone") - Number(b.state === "gone"))
        .map((p) => ({ kind: "process", text: p.name, more: [p.pid ?? "", p.state === "gone" ? "gone" : "", ...Object.entries(p.labels).map(([key, value]) => `${key}:${value}`)].filter(Boolean).join(" "),
            act: () => go(address.to(view, { process: p.id })) }));
    if (processesOnly) {
        return processes;
    }
    return [
        ...VIEWS.filter(({ needsProcess }) => !needsProcess || address.process).map(({ id, title, key, needsProcess }) => ({ kind: "view", text: title,
            more: `${needsProcess ? `of ${store.summary?.name ?? "the process"} ` : ""}g ${key}`, act: () => go(needsProcess ? address.to(id) : address.to(id, { process: null })) })),
        ...processes,
        ...CHOICES.map((word) => ({ kind: "colours", text: word, more: "", act: () => { setTheme(word); store.changed(); } })),
        { kind: "help", text: "Keys", more: "?", act: showHelp },
    ];
}

/** @param {{places: Place[], title: string, close: (place: Place) => void}} props */
function Finder({ places, title, close }) {
    const [typed, setTyped] = useState("");
    const [at, setAt] = useState(0);
    const list = useRef(/** @type {HTMLElement|null} */ (null));
    const found = useMemo(() => filtered(places, typed, ({ kind, text, more }) => `${text} ${more} ${kind}`), [typed]);
    const shown = found.slice(0, SHOWN);
    useLayoutEffect(() => list.current?.children[at]?.scrollIntoView({ block: "nearest" }), [at]);
    const onKeyDown = (/** @type {KeyboardEvent} */ event) => {
        const to = { ArrowDown: at + 1, ArrowUp: at - 1, PageDown: at + 8, PageUp: at - 8 }[event.key];
        if (to !== undefined) {
            setAt(Math.max(0, Math.min(shown.length - 1, to)));
            event.preventDefault();
        } else if (event.key === "Enter" && shown[at]) {
            event.preventDefault();
            close(shown[at]);
        }
    };
    return html`<h2 id="dialog-title" class="unseen">${title}</h2>
        <input type="text" class="filter" role="combobox" aria-label=${title} aria-expanded="true" aria-controls="places" aria-autocomplete="list" autocomplete="off" spellcheck=${false}
            aria-activedescendant=${shown[at] ? `place-${at}` : null} placeholder=${title} autofocus value=${typed} data-testid="palette-input" onKeyDown=${onKeyDown}
            onInput=${(/** @type {any} */ event) => (setTyped(event.target.value), setAt(0))} />
        <ul id="places" role="listbox" aria-label="Places" ref=${list} tabindex="-1">${shown.map((place, index) => html`<li key=${index} id="place-${index}" role="option" aria-selected=${String(index === at)}
            onClick=${() => close(place)}><span class="kind">${place.kind}</span> <span class="text">${place.text}</span> <span class="more">${place.more}</span></li>`)}</ul>
        <p class="hint" role="status">${found.length ? `${format.plural(found.length, "place")}${found.length > shown.length ? `; the first ${SHOWN} are shown` : ""}` : `Nothing matches “${typed}”`}</p>`;
}

/** Opens it; what is chosen there is done. @param {import("./store.js").Store} store @param {{processesOnly?: boolean}} [how] */
export async function openPalette(store, { processesOnly = false } = {}) {
    const places = placesOf(store, processesOnly);
    const title = processesOnly ? "Show another process" : "Go to a view or a process";
    const place = await modal((close) => html`<${Finder} places=${places} title=${title} close=${close} />`, { testid: "palette", kind: "palette" });
    /** @type {Place|null} */ (place)?.act();
}
