/* What can be done to a process or one of its heaps, what it will cost, and what became of it. Each control is an
 * operation, followed to its end; who may not is told why. */

import { html, useState } from "./vendor/htm-preact.js";
import { present } from "./address.js";
import * as api from "./api.js";
import { ask as confirmed, pauseCost } from "./confirm.js";
import * as format from "./format.js";
import { AnswerLine, Deadline, ended, toneOf, useAnswer } from "./operation.js";
import { useResource } from "./resource.js";
import { refusal } from "./states.js";

const OPERATIONS_SHOWN = 12;
const FORECAST_EVERY_MS = 5000;
/** A pause that is asked about before it is caused. */
const LONG_PAUSE_NS = 100e6;
const DEADLINE_S = 30;

/** @typedef {import("./store.js").Store} Store @typedef {import("./types").Operation} Operation */
/** @typedef {{generation: number, objects: number, pause_ns: number|null, least_pause_ns: number|null, most_pause_ns: number|null, runs: number,
 *             sliced: boolean, over_max_pause: boolean, reason: string|null}} Forecast of a collection */
/** @typedef {import("./types").Stats|import("./types").HeapStats} Subject what is in force: of the process or one heap */

/** The process, or its heap, in paths. @param {string} id @param {number} heap 0: all */
export const pathOf = (id, heap) => `${api.one(id)}${heap ? `/heaps/${heap}` : ""}`;

/** Why nothing can be asked of it: empty where it can. @param {Store} store @param {Subject} subject */
export const whyNot = (store, subject) => refusal(store, "control")
    || (subject.access === "observe" ? "The program lets itself be watched, not controlled." : "");

/** What collections would take; asked again now and then, as it costs the program nothing. @param {Store} store @param {number} heap */
export function useForecast(store, heap) {
    const { data } = useResource((signal) => api.get(`${api.one(store.chosen)}/forecast`, signal), [store.chosen], { every: FORECAST_EVERY_MS });
    const all = /** @type {Forecast[]|null} */ (heap ? data?.heaps.find((/** @type {{n: number}} */ { n }) => n === heap)?.collect : data?.collect);
    return (/** @type {number} */ generation) => all?.find((one) => one.generation === generation) ?? null;
}

/** @param {{forecast: Forecast|null}} props */
function Predicted({ forecast }) {
    if (!forecast) {
        return html`<span class="predicted" id="predicted" data-testid="predicted">predicted pause not known</span>`;
    }
    const { pause_ns, least_pause_ns, most_pause_ns, objects, reason, over_max_pause } = forecast;
    return html`<span class="predicted ${over_max_pause ? "over" : ""}" id="predicted" data-testid="predicted" data-pause=${pause_ns} title=${reason}>
        ${pause_ns === null ? `pause not known${reason ? `: ${reason}` : ""}` : html`predicted pause <strong>${format.duration(pause_ns)}</strong>${most_pause_ns !== least_pause_ns
            ? ` (${format.duration(least_pause_ns)} – ${format.duration(most_pause_ns)})` : ""}, ${format.plural(objects, "object")}`}
        ${over_max_pause ? html`<strong> – longer than the maximum pause</strong>` : null}</span>`;
}

/** @param {{store: Store, heap: number, subject: Subject, forecastOf: (generation: number) => Forecast|null}} props */
export function Actions({ store, heap, subject, forecastOf }) {
    const [answer, ask] = useAnswer(store);
    const [generation, setGeneration] = useState(2);
    const [dry, setDry] = useState(false);
    const [deadline, setDeadline] = useState(DEADLINE_S);
    const forecast = forecastOf(generation);
    const why = whyNot(store, subject);
    const path = pathOf(store.chosen, heap);
    const body = { deadline_ms: Math.round(deadline * 1000) };
    const post = (/** @type {string} */ asked, /** @type {string} */ what) => ask(asked, () => api.ask("POST", `${path}/${what}`, body));
    const collect = async () => {
        const long = Number(forecast?.pause_ns) >= LONG_PAUSE_NS || forecast?.over_max_pause;
        if (!long || await confirmed({ title: `Collect generation ${generation}`, action: "Collect", text: "The heap's thread stands still until the run has ended.",
            cost: pauseCost(forecast?.pause_ns) })) {
            ask(dry ? "Find cycles" : `Collect generation ${generation}`, () => api.ask("POST", `${path}/collect`, dry ? { dry_run: true, ...body } : { generation, ...body }));
        }
    };
    const enable = async (/** @type {boolean} */ enabled) => {
        if (enabled || await confirmed({ title: "Disable automatic collection", action: "Disable", danger: true,
            text: "Garbage cycles are no longer found by themselves. Reference counting goes on, and so do collections that are asked for.",
            cost: "What cycles hold stays allocated until somebody enables it again or collects." })) {
            ask(enabled ? "Enable" : "Disable", () => api.ask("PATCH", `${path}/config`, { enabled, ...body }), ({ enabled: now }) => format.configText({ enabled: now }));
        }
    };
    const { enabled, garbage, frozen } = /** @type {any} */ (subject);
    return html`<section class="actions" aria-label="Actions">
        ${why ? html`<p class="notice" id="why-not" data-testid="read-only">${why}</p>` : null}
        <fieldset class="plain" disabled=${why !== ""} aria-describedby=${why ? "why-not" : null}><legend class="unseen">Actions on ${heap ? `heap ${heap}` : "all heaps"}</legend>
            <span class="together">
                <button type="button" class="primary" data-testid="collect" aria-describedby="predicted" onClick=${collect}>Collect</button>
                <label>generation <select data-testid="generation" aria-label="Generation to collect" value=${String(generation)} disabled=${dry}
                    onChange=${(/** @type {any} */ event) => setGeneration(Number(event.target.value))}>
                    ${[0, 1, 2].map((n) => html`<option key=${n} value=${String(n)}>${n}</option>`)}</select></label>
                <label title="Finds the whole heap's garbage cycles and counts their shapes; frees nothing"><input type="checkbox" data-testid="dry-run" checked=${dry}
                    onChange=${(/** @type {any} */ event) => setDry(event.target.checked)} /> find only</label>
                <${Predicted} forecast=${forecast} />
            </span>
            <span class="together"><span class="caption" id="automatic">Automatic collection</span>
                <span class="segments" role="group" aria-labelledby="automatic">
                    <button type="button" data-testid="enable" aria-pressed=${String(enabled === true)} onClick=${() => enable(true)}>On</button>
                    <button type="button" data-testid="disable" aria-pressed=${String(enabled === false)} onClick=${() => enable(false)}>Off</button></span>
                ${enabled === null ? html`<span class="predicted over">heaps differ</span>` : null}
            </span>
            <span class="together">
                <button type="button" data-testid="freeze" title="Takes all objects out of the generations: collections leave them alone" onClick=${() => post("Freeze", "freeze")}>Freeze</button>
                <button type="button" data-testid="unfreeze" title="Gives frozen objects back to the oldest generation" disabled=${why !== "" || !frozen} onClick=${() => post("Unfreeze", "unfreeze")}>Unfreeze${frozen ? ` ${format.count(frozen)}` : ""}</button>
                ${heap ? null : html`<button type="button" data-testid="baseline" title="Keeps the figures of now, to compare types with" onClick=${() => post("Baseline", "baseline")}>Set baseline</button>`}
                <button type="button" data-testid="garbage-clear" title="Gives the garbage list's references back" disabled=${why !== "" || !garbage}
                    onClick=${() => post("Clear garbage", "garbage/clear")}>Clear garbage${garbage ? ` (${format.count(garbage)})` : ""}</button>
            </span>
            <label class="together" title="What has not begun by then never will">deadline <input type="number" min="0.1" max="3600" step="any" data-testid="deadline" value=${deadline}
                onInput=${(/** @type {any} */ event) => setDeadline(Number(event.target.value) || DEADLINE_S)} /> s</label>
        </fieldset>
        <${AnswerLine} store=${store} answer=${answer} />
    </section>`;
}

/** What was asked of this process lately, here or elsewhere. @param {{store: Store}} props */
export function Operations({ store }) {
    const operations = [...store.operations.values()].filter((operation) => operation.process === store.chosen)
        .sort((a, b) => b.created_at.localeCompare(a.created_at)).slice(0, OPERATIONS_SHOWN);
    return html`<section class="panel" aria-labelledby="operations-title"><h3 id="operations-title">Operations</h3>
        ${operations.length ? html`<ol class="operations" data-testid="operations">${operations.map((operation) => html`<li key=${operation.id} data-state=${operation.state}>
            <time class="number">${format.clock(operation.created_at)}</time> <a href=${present().to("audit", { filter: operation.id })}>${operation.kind.replace(/_/g, " ")}</a>
            <span class="outcome ${toneOf(operation)}">${format.operationText(operation)}</span>
            ${ended(operation) ? null : html`<${Deadline} operation=${operation} />`}</li>`)}</ol>`
            : html`<p class="hint" data-testid="operations-empty">Nothing was asked of this process lately. What is, here or with tallyctl, is listed with its outcome.</p>`}</section>`;
}
