/* Asks before something that costs: what it will do, to how many, and what it will cost them. */

import { html } from "./vendor/htm-preact.js";
import * as format from "./format.js";
import { modal } from "./modal.js";

/** @typedef {import("./vendor/htm-preact.js").Child} Child */
/** @typedef {{title: string, action: string, text?: Child, cost?: Child, danger?: boolean}} Question
 * action  the word on the button
 * text    what will happen; elements of `html` too
 * cost    what it will cost, in a line of its own: see pauseCost()
 * danger  it cannot be taken back: Cancel is in focus first */

/** In words: what the pause will be. @param {number|null|undefined} ns the prediction @param {string} [whose] */
export const pauseCost = (ns, whose = "the program") => ns === null || ns === undefined
    ? `How long ${whose} will pause cannot be told yet: no such collection has been measured.`
    : `Predicted pause of ${whose}: ${format.duration(ns)}.`;

/** Whether somebody wants it; Escape means no. @param {Question} question @returns {Promise<boolean>} */
export const ask = async ({ title, action, text, cost, danger = false }) => await modal((close) => html`
    <h2 id="dialog-title">${title}</h2>
    ${text ? html`<div class="prose">${text}</div>` : null}
    ${cost ? html`<p class="cost" data-testid="confirm-cost">${cost}</p>` : null}
    <p class="buttons">
        <button type="button" data-testid="confirm-no" autofocus=${danger} onClick=${() => close(false)}>Cancel</button>
        <button type="button" class=${danger ? "danger" : "primary"} data-testid="confirm-yes" autofocus=${!danger} onClick=${() => close(true)}>${action}</button>
    </p>`, { testid: "confirm" }) === true;
