/* Dialogs over the page. The browser keeps the focus inside, gives it back at the end, and closes one at Escape. */

import { html, render } from "./vendor/htm-preact.js";

/** @typedef {import("./vendor/htm-preact.js").Child} Child */

export const isOpen = () => document.querySelector("dialog[open]") !== null;

/** Shows what `content` makes until that calls its argument, whose argument is the answer; Escape, or a click beside the
 * dialog, answers null. Its heading has the id `dialog-title`; what has `autofocus` is in focus first.
 * @template T @param {(close: (answer: T) => void) => Child} content @param {{testid: string, kind?: string}} how @returns {Promise<T|null>} */
export function modal(content, { testid, kind = "" }) {
    return new Promise((resolve) => {
        const place = document.body.appendChild(document.createElement("div"));
        let answer = /** @type {T|null} */ (null);
        const close = (/** @type {T} */ given) => {
            answer = given;
            dialog.close();
        };
        const over = () => {
            render(null, place);
            place.remove();
            resolve(answer);
        };
        render(html`<dialog class="dialog ${kind}" aria-labelledby="dialog-title" data-testid=${testid} onClose=${over}
            onClick=${(/** @type {Event} */ event) => event.target === dialog && dialog.close()}><div class="inside">${content(close)}</div></dialog>`, place);
        const dialog = /** @type {HTMLDialogElement} */ (place.querySelector("dialog"));
        dialog.showModal();
        /** @type {HTMLElement|null} */ (dialog.querySelector("[autofocus]"))?.focus();
    });
}
