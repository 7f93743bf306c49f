/* Keys that work anywhere on the page, and the list of them. Those of a single letter can be turned off, for who steers
 * by voice or presses keys by mistake; this browser remembers that. */

import { html, useState } from "./vendor/htm-preact.js";
import { go, present } from "./address.js";
import { isOpen, modal } from "./modal.js";
import { VIEWS } from "./views.js";

const KEPT = "tally.keys";
const PAIR_MS = 1500;

let letters = true;
try {
    letters = localStorage.getItem(KEPT) !== "off";
} catch { /* then on */ }

/** @param {boolean} on */
function setLetters(on) {
    letters = on;
    try {
        localStorage.setItem(KEPT, on ? "on" : "off");
    } catch { /* as long as the page then */ }
}

const TABLE_KEYS = [["↑, ↓, Page Up, Page Down, Home, End", "move between rows"], ["Enter", "open the row"], ["→, ←", "open and close a group; to the links and buttons of a row, and back"],
    ["Space, Shift Space", "choose a row, or all up to it"], ["Shift ↑, Shift ↓", "choose while moving"], ["Ctrl A, Escape", "choose all, or none"]];

function Help() {
    const [on, setOn] = useState(letters);
    const keys = (/** @type {string[][]} */ rows) => html`<dl class="keys">${rows.map(([key, what]) => html`<div key=${key}><dt>${key.split(", ").map((one) => html`<kbd>${one}</kbd> `)}</dt><dd>${what}</dd></div>`)}</dl>`;
    return html`<h2 id="dialog-title" tabindex="-1" autofocus>Keys</h2>
        ${keys([["Ctrl K", "go to a view or a process"], ["?", "this list"], ["/", "the filter"], ...VIEWS.map(({ key, title }) => [`g ${key}`, title])])}
        <h3>In a table</h3>${keys(TABLE_KEYS)}
        <p><label><input type="checkbox" data-testid="letters" checked=${on} onChange=${() => (setLetters(!on), setOn(!on))} /> keys without Ctrl work outside of fields and tables</label></p>`;
}

export const showHelp = () => void modal((close) => html`<${Help} /><p class="buttons"><button type="button" onClick=${() => close(null)}>Close</button></p>`, { testid: "help", kind: "help" });

/** @param {EventTarget|null} target */
const typing = (target) => target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));

/** Begins to listen. @param {() => void} find opens the list of places */
export function listenToKeys(find) {
    let first = -Infinity;
    addEventListener("keydown", (event) => {
        if (isOpen() || event.altKey) {
            return;
        }
        if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
            event.preventDefault();
            find();
        } else if (letters && !event.ctrlKey && !event.metaKey && !typing(event.target)) {
            if (act(event.key, event.timeStamp - first < PAIR_MS)) { /* by when they were pressed, however late a busy page hears of it */
                event.preventDefault();
                event.stopPropagation();
            }
            first = event.key === "g" ? event.timeStamp : -Infinity;
        }
    }, true); /* before what has the focus: the t of "g t" is not a chart's */
}

/** Whether the key means something. @param {string} key @param {boolean} second after a `g` */
function act(key, second) {
    const view = second && VIEWS.find((one) => one.key === key);
    const address = present();
    if (view) {
        go(view.needsProcess ? address.to(view.id) : address.to(view.id, { process: null }));
    } else if (key === "?") {
        showHelp();
    } else if (key === "/") {
        const field = /** @type {HTMLInputElement|null} */ (document.querySelector('main [aria-keyshortcuts="/"]'));
        field?.focus();
        field?.select();
        return field !== null;
    } else {
        return false;
    }
    return true;
}
