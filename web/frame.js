/* What stands around every view: who and where we are, the ways to the others, how the link is, and the door. */

import { html } from "./vendor/htm-preact.js";
import * as format from "./format.js";
import { openPalette } from "./palette.js";
import { showHelp } from "./shortcuts.js";
import { Empty, Failed, Loading, Offline } from "./states.js";
import { CHOICES, setTheme, theme } from "./theme.js";
import { VIEWS } from "./views.js";

/** @typedef {import("./store.js").Store} Store */
/** @typedef {import("./address.js").Address} Address */
/** @typedef {import("./views.js").View} View */

/** `aging` changes every second and is not read aloud. @param {Store} store @returns {[tone: string, text: string, aging?: string]} */
function linkText({ link, stale, silence }) {
    if (link.state === "offline") {
        const wait = link.retryAt - Date.now();
        return ["bad", `offline since ${format.clock(link.since)}`, `, retrying${wait > 500 ? ` in ${Math.ceil(wait / 1000)} s` : ""}`];
    }
    return link.state === "connecting" ? ["", "connecting"] : stale ? ["warn", "stale", ` for ${format.age(silence)}`] : ["good", "live"];
}

/** @param {{store: Store}} props */
function Link({ store }) {
    const [tone, text, aging] = linkText(store);
    return html`<span class="link ${tone}" role="status" data-testid="link" data-state=${store.link.state} title=${store.link.reason}>
        <span class="dot ${tone}" aria-hidden="true"></span><span>${text}<span aria-hidden="true">${aging}</span></span></span>`;
}

/** @param {{store: Store}} props */
function Theme({ store }) {
    return html`<label class="theme"><span class="unseen">Colours</span><select class="small" data-testid="theme" title="Colours" value=${theme()}
        onChange=${(/** @type {any} */ event) => { setTheme(event.target.value); store.changed(); }}>
        ${CHOICES.map((word) => html`<option value=${word} selected=${word === theme()}>${word}</option>`)}</select></label>`;
}

/** @param {{store: Store, address: Address, needsProcess: boolean}} props */
function Ways({ store, address, needsProcess }) {
    const firing = store.alerts.size;
    return html`<ul>${VIEWS.filter((view) => view.needsProcess === needsProcess).map(({ id, title, key }) => html`<li key=${id}>
        <a href=${needsProcess ? address.to(id) : address.to(id, { process: null })} aria-current=${address.view === id ? "page" : null}
            aria-keyshortcuts="g ${key}" data-testid="to-${id}">${title}${id === "rules" && firing
                ? html` <span class="count-badge" data-testid="alert-count">${firing}<span class="unseen"> firing</span></span>` : null}</a></li>`)}</ul>`;
}

/** @param {{store: Store, address: Address}} props */
function Chosen({ store, address }) {
    const name = store.summary?.name ?? store.stats?.name ?? address.process.slice(0, 8);
    const gone = (store.stats ?? store.summary)?.state === "gone";
    return html`<nav class="ways of-process" aria-label="Process ${name}" data-testid="process-nav">
        <button type="button" class="whose" title="Show another process" data-testid="switch" onClick=${() => openPalette(store, { processesOnly: true })}><span
            class="dot ${gone ? "" : "good"}" aria-hidden="true"></span><strong title=${name}>${name}</strong> <span class="pid">${store.summary?.pid ? `pid ${store.summary.pid}` : ""}${gone ? " gone" : ""}</span>
            <span aria-hidden="true">▾</span><span class="unseen">: show another process</span></button>
        <${Ways} store=${store} address=${address} needsProcess=${true} /></nav>`;
}

/** @param {{store: Store, address: Address}} props */
function Top({ store, address }) {
    const live = store.fleet?.processes.filter((process) => process.state === "live").length ?? 0;
    const gone = (store.fleet?.processes.length ?? 0) - live;
    return html`<header class="top">
        <button type="button" class="skip" data-testid="skip" onClick=${() => document.getElementById("title")?.focus()}>Skip to the content</button>
        <p class="brand"><img src="./favicon.svg" alt="" width="22" height="22" /> tally</p>
        <nav class="ways" aria-label="Views"><${Ways} store=${store} address=${address} needsProcess=${false} /></nav>
        <span class="facts" data-testid="totals">${store.fleet ? `${format.exact(live)} live · ${format.exact(gone)} gone` : ""}</span>
        <${Link} store=${store} />
        <button type="button" class="small" aria-keyshortcuts="Control+K" data-testid="find" onClick=${() => openPalette(store)}>Go to <kbd>Ctrl K</kbd></button>
        <button type="button" class="small" aria-keyshortcuts="?" aria-label="Keys" title="Keys" data-testid="keys" onClick=${showHelp}>?</button>
        <${Theme} store=${store} />
        ${address.process ? html`<${Chosen} store=${store} address=${address} />` : null}
    </header>`;
}

/** The view, or what stands in its place. @param {{store: Store, address: Address, view: View|null, problem: Error|null, again: () => void}} props */
function Content({ store, address, view, problem, again }) {
    if (problem) {
        return html`<${Failed} problem=${problem} again=${again} testid="view-problem" />`;
    }
    if (!view) {
        return html`<${Loading} testid="view-loading" />`;
    }
    if (view.needsProcess && !address.process) {
        return html`<${Empty} title="No process is chosen" testid="none-chosen"><p>Choose one from the <a href=${address.to("fleet")}>list of processes</a>.</p><//>`;
    }
    if (view.needsProcess && store.statsProblem && !store.stats) {
        return html`<${Failed} problem=${{ message: store.statsProblem }} testid="process-problem" />`;
    }
    return html`<${view.Body} key=${view.needsProcess ? address.process : ""} store=${store} address=${address} />`;
}

/** @param {{store: Store, address: Address, title: string, view: View|null, problem: Error|null, again: () => void}} props */
export function Frame(props) {
    const { store, address, title } = props;
    return html`<${Top} store=${store} address=${address} />
        <main id="main"><h1 id="title" tabindex="-1" data-testid="title">${title}</h1>
            <${Offline} store=${store} />
            <${Content} ...${props} /></main>`;
}

/** @param {{store: Store}} props */
export function Door({ store }) {
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
