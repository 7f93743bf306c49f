/* The page's frame: whether it is logged in, how the link to tallyd is, and what to do where something is missing. */

import { html } from "./vendor/htm-preact.js";
import * as format from "./format.js";

/** @typedef {import("./store.js").Store} Store */

/** `aging` changes every second and is not read aloud. @param {Store} store @returns {[tone: string, text: string, aging?: string]} */
function linkText({ link, stale, silence }) {
    if (link.state === "offline") {
        const wait = link.retryAt - Date.now();
        return ["bad", `offline since ${format.clock(link.since)}`, `, retrying${wait > 500 ? ` in ${Math.ceil(wait / 1000)} s` : ""}`];
    }
    return link.state === "connecting" ? ["", "connecting"] : stale ? ["warn", "stale", ` for ${format.age(silence)}`] : ["good", "live"];
}

/** @param {{store: Store}} props */
export function TopBar({ store }) {
    const [tone, text, aging] = linkText(store);
    const live = store.fleet?.processes.filter((process) => process.state === "live").length ?? 0;
    const gone = (store.fleet?.processes.length ?? 0) - live;
    return html`<header class="top">
        <h1><img src="./favicon.svg" alt="" width="22" height="22" /> tally</h1>
        ${store.info ? html`<span class="facts">tallyd ${store.info.version}, pid ${store.info.pid}</span>` : null}
        ${store.fleet ? html`<span class="facts" data-testid="totals">${live} live · ${gone} gone</span>` : null}
        <span class="link ${tone}" role="status" data-testid="link" data-state=${store.link.state} title=${store.link.reason}>
            <span class="dot ${tone}" aria-hidden="true"></span><span>${text}<span aria-hidden="true">${aging}</span></span></span>
    </header>`;
}

/** @param {{store: Store}} props */
export function LoggedOut({ store }) {
    return html`<main class="door" data-testid="logged-out">
        <h1><img src="./favicon.svg" alt="" width="40" height="40" /> tally</h1>
        ${store.session === "checking" ? html`<p role="status">Logging in…</p>` : html`
            ${store.loginProblem ? html`<p class="notice bad" role="alert" data-testid="login-problem">${store.loginProblem}</p>` : null}
            <h2>Not logged in</h2>
            <p>In a terminal on the machine where tallyd runs, type</p>
            <pre><code>tallyctl login</code></pre>
            <p>and open the link that it prints. A link works once, within a minute; this tab then stays logged in until it is closed.</p>`}
    </main>`;
}
