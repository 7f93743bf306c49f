/* What stands where the figures would be, when there are none or they are not to be trusted. Each says what to do. */

import { html } from "./vendor/htm-preact.js";
import * as format from "./format.js";

/** @typedef {import("./vendor/htm-preact.js").Child} Child */

/** @param {{what?: string, testid?: string}} props */
export const Loading = ({ what = "", testid = "loading" }) => html`<p class="state" role="status" data-testid=${testid}>
    <span class="spinner" aria-hidden="true"></span> Reading${what ? ` ${what}` : ""}…</p>`;

/** Nothing is there, and that is no fault: `children` says how something comes. @param {{title: string, testid?: string, children?: Child}} props */
export const Empty = ({ title, testid = "empty", children }) => html`<div class="state" data-testid=${testid}>
    <h2>${title}</h2>${children}</div>`;

/** What to do about what tallyd does not have. @type {Record<string, string>} */
const ADVICE = { no_such_artifact: "It was deleted, or newer ones needed its place: choose another one.", no_such_baseline: "It was deleted, or newer ones needed its place: choose another one." };

/** @param {{problem: {message: string, status?: number, code?: string}, again?: () => void, testid?: string}} props */
export function Failed({ problem, again, testid = "failed" }) {
    const refused = problem.status === 403;
    const advice = problem.status === 0 ? "The page tries again by itself." : refused ? "Log in with the link of tallyctl login, which may." : ADVICE[problem.code ?? ""] ?? "";
    return html`<div class="notice bad" role="alert" data-testid=${testid} data-status=${problem.status}><p>${problem.message.startsWith("tallyd") ? "" : problem.message.charAt(0).toUpperCase()}${problem.message.slice(problem.message.startsWith("tallyd") ? 0 : 1)}${/[.!?]$/.test(problem.message) ? "" : "."} ${advice}</p>
        ${again && !refused ? html`<button type="button" class="small" onClick=${again}>Try again</button>` : null}</div>`;
}

/** The chosen process's figures are old. @param {{store: import("./store.js").Store}} props */
export const Stale = ({ store }) => store.stale ? html`<p class="notice warn" role="status" data-testid="stale">Stale: nothing new from tallyd<span
    aria-hidden="true"> for ${format.age(store.silence)}</span>. The numbers below are of ${format.clock(store.stats?.as_of ?? "")}. ${store.statsProblem}</p>` : null;

/** tallyd is away: when it is asked again, and what the page shows meanwhile. @param {{store: import("./store.js").Store}} props */
export function Offline({ store }) {
    if (store.link.state !== "offline") {
        return null;
    }
    const wait = Math.ceil((store.link.retryAt - Date.now()) / 1000);
    return html`<div class="notice bad" role="status" data-testid="offline"><p>Offline since ${format.clock(store.link.since)}: ${store.link.reason}.
        What is shown was true then.<span aria-hidden="true"> ${wait > 0 ? `Next try in ${wait} s.` : "Trying now."}</span></p>
        <button type="button" class="small" onClick=${() => store.hurry()}>Try now</button></div>`;
}

/** Why a control is off, for its title and description: empty where it is not. @param {import("./store.js").Store} store @param {"control"|"admin"} scope */
export function refusal(store, scope) {
    const { who } = store;
    return !who || who.scopes.includes(scope) ? ""
        : who.remote_control_off ? "Read-only from another machine: tallyd runs without --remote-control"
            : `${scope === "admin" ? "For administrators" : "Read-only"}: this token's scope is ${who.scopes.join(", ")}, and this needs ${scope}`;
}
