/* Asks before something that costs: what it will do, to how many, and what it will cost them. */

import { html, render } from "./vendor/htm-preact.js";
import * as format from "./format.js";

/** @typedef {import("./vendor/htm-preact.js").Child} Child */
/** @typedef {{title: string, action: string, text?: Child, cost?: Child, danger?: boolean}} Question
 * action  the word on the button
 * text    what will happen; elements of `html` too
 * cost    what it will cost, in a line of its own: see pauseCost()
 * danger  it cannot be taken back */

/** In words: what the pause will be. @param {number|null|undefined} ns the prediction @param {string} [whose] */
export const pauseCost = (ns, whose = "the program") => ns === null || ns === undefined
    ? `How long ${whose} will pause cannot be told yet: no such collection has been measured.`
    : `Predicted pause of ${whose}: ${format.duration(ns)}.`;

/** @param {Question & {answer: (yes: boolean) => void}} props */
function Dialog({ title, action, text, cost, danger, answer }) {
    return html`<dialog class="dialog" aria-labelledby="dialog-title" data-testid="confirm"
            onClose=${(/** @type {Event} */ event) => answer(/** @type {HTMLDialogElement} */ (event.currentTarget).returnValue === "yes")}>
        <form method="dialog">
            <h2 id="dialog-title">${title}</h2>
            ${text ? html`<div class="prose">${text}</div>` : null}
            ${cost ? html`<p class="cost" data-testid="confirm-cost">${cost}</p>` : null}
            <p class="buttons">
                <button value="no" data-testid="confirm-no">Cancel</button>
                <button value="yes" class=${danger ? "danger" : "primary"} data-testid="confirm-yes">${action}</button>
            </p>
        </form></dialog>`;
}

/** Whether somebody wants it; Escape means no. Focus comes back to where it was. @param {Question} question @returns {Promise<boolean>} */
export function ask(question) {
    return new Promise((resolve) => {
        const place = document.createElement("div");
        document.body.append(place);
        const answer = (/** @type {boolean} */ yes) => {
            render(null, place);
            place.remove();
            resolve(yes);
        };
        render(html`<${Dialog} ...${question} answer=${answer} />`, place);
        const dialog = /** @type {HTMLDialogElement} */ (place.querySelector("dialog"));
        dialog.showModal();
        /** @type {HTMLElement} */ (dialog.querySelector(`[value="${question.danger ? "no" : "yes"}"]`)).focus();
    });
}
