/* The controls of the chosen process, and what they answered. An operation is shown wherever it is, until it ends. */

import { Component, html } from "./vendor/htm-preact.js";
import * as api from "./api.js";
import * as format from "./format.js";
import { Deadline, followOperation, toneOf } from "./operation.js";

const { operationText } = format;

const OPERATIONS_SHOWN = 6;

/** @typedef {import("./store.js").Store} Store */
/** @typedef {import("./types").Operation} Operation */

/** Shows an answer unless something else has been asked since. @typedef {(answer: Pick<import("./types").Answer, "tone"|"text"> & {operation?: string}) => void} Show */

/** @param {Store} store @param {Operation} operation @param {Show} show */
const followed = (store, operation, show) => followOperation(store, operation, (now) => show({ tone: toneOf(now), text: operationText(now), operation: now.id }));

/** @param {Store} store @param {string} asked @param {(show: Show) => Promise<void>} ask */
async function answered(store, asked, ask) {
    const ticket = store.ask();
    /** @type {Show} */
    const show = ({ tone, text, operation = null }) => store.setAnswer(ticket, { asked, tone, text, operation });
    show({ tone: "busy", text: "asked" });
    try {
        await ask(show);
    } catch (error) {
        show({ tone: "bad", text: error instanceof Error ? error.message : String(error) });
    }
}

/** @param {Store} store */
export function collect(store) {
    const asked = `Collect generation ${store.generation}`;
    return answered(store, asked, async (show) =>
        void await followed(store, await api.collect(store.chosen, store.generation), show));
}

/** @param {Store} store @param {string} asked @param {Partial<import("./types").Config>} change */
function configure(store, asked, change) {
    return answered(store, asked, async (show) => {
        const answer = await api.configure(store.chosen, change);
        if (answer.kind) { /* an operation: some heap has not taken it over yet, or refused it */
            await followed(store, /** @type {Operation} */ (/** @type {unknown} */ (answer)), show);
        } else {
            const inForce = Object.fromEntries(Object.entries(answer).filter(([name]) => name in change));
            show({ tone: "good", text: format.configText(inForce) });
        }
    });
}

/** @param {Store} store @param {boolean} enabled */
export const setEnabled = (store, enabled) => configure(store, enabled ? "Enable" : "Disable", { enabled });

/** @param {{store: Store}} props */
function Answer({ store }) {
    const { answer } = store;
    const operation = answer?.operation ? store.operations.get(answer.operation) : undefined;
    const tone = operation ? toneOf(operation) : answer?.tone;
    return html`<p class="answer ${tone ?? ""}" role="status" aria-live="polite" data-testid="answer" data-tone=${tone ?? "none"}>
        ${answer ? html`<strong>${answer.asked}:</strong> <span>${operation ? format.operationText(operation) : answer.text}</span>` : null}
        ${operation && tone === "busy" ? html`<${Deadline} operation=${operation} />` : null}
    </p>`;
}

/** Shows the manager in force, also while another is asked for. @param {{store: Store}} props */
function Manager({ store }) {
    const manager = store.stats?.manager ?? null;
    return html`<label>manager <select data-testid="manager" aria-label="Manager" value=${manager ?? ""}
        onChange=${(/** @type {any} */ event) => configure(store, `Manager ${event.target.value}`, { manager: event.target.value })}>
        ${manager === null ? html`<option value="" disabled selected>heaps differ</option>` : null}
        ${store.info?.managers.map((word) => html`<option value=${word} selected=${word === manager}>${word}</option>`)}
    </select></label>`;
}

/** What is typed stays until it is set or given up; else the limit in force is shown.
 * @extends {Component<{store: Store}, {typed: string|null}>} */
class MaxPause extends Component {
    state = { typed: /** @type {string|null} */ (null) };

    /** @param {Event} event */
    set(event) {
        const { store } = this.props;
        event.preventDefault();
        configure(store, "Maximum pause", { max_pause_us: Number(this.state.typed ?? store.stats?.max_pause_us ?? 0) });
        this.setState({ typed: null });
    }

    /** @param {{store: Store}} props @param {{typed: string|null}} state */
    render({ store }, { typed }) {
        const pause = store.stats?.max_pause_us ?? null;
        return html`<form class="together" onSubmit=${(/** @type {Event} */ event) => this.set(event)}>
            <label>maximum pause <input type="number" min="0" max="10000000" step="1" required data-testid="max-pause"
                aria-label="Maximum pause in microseconds, 0 for none" value=${typed ?? pause ?? ""} placeholder=${pause === null ? "differ" : null}
                onInput=${(/** @type {any} */ event) => this.setState({ typed: event.target.value })}
                onKeyDown=${(/** @type {KeyboardEvent} */ event) => event.key === "Escape" && this.setState({ typed: null })} /> µs</label>
            <button type="submit" data-testid="max-pause-set">Set</button>
        </form>`;
    }
}

/** @param {{store: Store, gone: boolean}} props */
export function Controls({ store, gone }) {
    const enabled = store.stats?.enabled ?? null;
    if (gone) {
        return html`<p class="hint" data-testid="controls-gone">This process has ended: the numbers are its last, and there is nothing left to control.</p>`;
    }
    return html`<div class="controls" role="group" aria-label="Controls">
        <span class="together">
            <button type="button" class="primary" data-testid="collect" onClick=${() => collect(store)}>Collect</button>
            <label>generation <select data-testid="generation" aria-label="Generation to collect" value=${String(store.generation)}
                onChange=${(/** @type {any} */ event) => { store.generation = Number(event.target.value); store.changed(); }}>
                ${[0, 1, 2].map((n) => html`<option value=${String(n)} selected=${n === store.generation}>${n}</option>`)}
            </select></label>
        </span>
        <span class="together" role="group" aria-label="Automatic collection">
            <span class="caption">Automatic collection</span>
            <button type="button" data-testid="enable" aria-pressed=${String(enabled === true)} onClick=${() => setEnabled(store, true)}>Enable</button>
            <button type="button" data-testid="disable" aria-pressed=${String(enabled === false)} onClick=${() => setEnabled(store, false)}>Disable</button>
        </span>
        <${Manager} store=${store} />
        <${MaxPause} key=${store.chosen} store=${store} />
        <${Answer} store=${store} />
    </div>`;
}

/** What was asked of this process lately, here or elsewhere. @param {{store: Store}} props */
export function Operations({ store }) {
    const operations = [...store.operations.values()].filter((operation) => operation.process === store.chosen)
        .sort((a, b) => b.created_at.localeCompare(a.created_at)).slice(0, OPERATIONS_SHOWN);
    if (!operations.length) {
        return null;
    }
    return html`<section class="panel" aria-labelledby="operations-title"><h3 id="operations-title">Operations</h3>
        <ol class="operations" data-testid="operations">${operations.map((operation) => html`<li key=${operation.id} data-state=${operation.state}>
            <time class="number">${format.clock(operation.created_at)}</time> <span>${operation.kind}</span>
            <span class="outcome ${toneOf(operation)}">${format.operationText(operation)}</span></li>`)}</ol></section>`;
}
