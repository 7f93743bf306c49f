/* Rules and alerts: what fires, what fired, and the rules behind it, which can be made, changed and deleted here. */

import { html, useEffect, useLayoutEffect, useMemo, useRef } from "../vendor/htm-preact.js";
import { change } from "../address.js";
import { ask } from "../confirm.js";
import * as api from "../api.js";
import * as format from "../format.js";
import { AnswerLine, useAnswer } from "../operation.js";
import { useResource } from "../resource.js";
import { actionsText, conditionText, selectorText, valueText } from "../rule.js";
import { RuleForm } from "../rule-form.js";
import { Empty, Failed, Loading, refusal } from "../states.js";
import { Table } from "../table.js";

const RULES_EVERY_MS = 2000;
const ALERTS_EVERY_MS = 10_000;
const PAGE = 200;
const PASTS = [["", "the last 1,000"], ["-1h", "history: 1 hour"], ["-1d", "history: 1 day"], ["-7d", "history: 7 days"], ["-30d", "history: 30 days"]];

/** @typedef {import("../store.js").Store} Store */
/** @typedef {import("../address.js").Address} Address */
/** @typedef {import("../types").Rule} Rule */
/** @typedef {import("../types").Alert} Alert */
/** @typedef {import("../types").Series} Series */

const TONES = /** @type {Record<string, string>} */ ({ firing: "bad", throttled: "bad", pending: "warn", inactive: "good", disabled: "" });
const REASONS = /** @type {Record<string, string>} */ ({ cleared: "cleared", process_gone: "its process ended", rule_changed: "its rule was changed",
    rule_disabled: "its rule was disabled", rule_deleted: "its rule was deleted" });

/** @param {Series[]} series @param {string} name */
const unitOf = (series, name) => series.find((one) => one.name === name)?.unit ?? "";

/** @param {Address} address @param {string} id @param {string} name */
const processLink = (address, id, name) => html`<a href=${address.to("process", { process: id })} tabindex="-1">${name || id.slice(0, 8)}</a>`;
/** @param {Address} address @param {string} name */
const ruleLink = (address, name) => html`<a href=${address.with({ rule: name, edit: null })} tabindex="-1">${name}</a>`;

/** The view that shows why. @param {{series: string, type?: string|null}} alert */
const causeOf = ({ series, type }) => type ? { view: "types", words: "the type" } : /^(type_)?live_|_grows|allocat/.test(series) ? { view: "suspects", words: "who grows" }
    : /pause|collect|gc_|candidates|frees\.cycle/.test(series) ? { view: "collections", words: "collections" }
        : /events/.test(series) ? { view: "events", words: "events" } : { view: "process", words: "overview" };

/** @param {Address} address @param {Series[]} series @returns {import("../rows.js").Column<Alert>[]} */
const alertColumns = (address, series) => [
    { id: "began_at", label: "Since", width: 6.8, first: "-", value: (a) => a.began_at, show: (a) => html`<time datetime=${a.began_at} title=${a.began_at}>${format.age(Date.now() - Date.parse(a.began_at))} ago</time>` },
    { id: "rule", label: "Rule", width: 8, value: (a) => a.rule, show: (a) => ruleLink(address, a.rule) },
    { id: "process", label: "Process", width: 7, value: (a) => a.name || a.process, show: (a) => processLink(address, a.process, a.name) },
    { id: "condition", label: "Condition", width: 18, value: (a) => `${a.series} ${a.condition}`,
        show: (a) => `${a.series} ${a.condition.replace(/\d{4,}(\.\d+)?/, (n) => valueText(Number(n), unitOf(series, a.series)))}` },
    { id: "value", label: "When it began", number: true, width: 8.5, value: (a) => a.value, show: (a) => valueText(a.value, unitOf(series, a.series)) },
    { id: "why", label: "Look at", help: "Where its cause shows", width: 8, unsorted: true, value: (a) => causeOf(a).words, show: (a) => html`<a href=${address.to(causeOf(a).view, { process: a.process, ...a.type ? { type: a.type } : {} })} data-testid="alert-cause">${causeOf(a).words}</a>` },
    { id: "type", label: "Type", width: 7, value: (a) => a.type },
];

/** @param {{store: Store, address: Address, series: Series[]}} props */
function Firing({ store, address, series }) {
    const alerts = [...store.alerts.values()].filter((alert) => !address.get("rule") || alert.rule === address.get("rule"));
    const linkOf = (/** @type {Alert} */ alert) => address.with({ rule: alert.rule, edit: null });
    return html`<section class="panel" aria-labelledby="firing-title"><h2 id="firing-title">Firing${address.get("rule") ? ` by ${address.get("rule")}` : ""}</h2>
        <${Table} id="firing" caption="alerts that fire" rows=${alerts} columns=${alertColumns(address, series)} keyOf=${(/** @type {Alert} */ a) => String(a.id)} address=${address}
            prefix="firing-" order="-began_at" linkOf=${linkOf} attributesOf=${(/** @type {Alert} */ a) => ({ "data-rule": a.rule, "data-process": a.process })}
            empty=${html`<p class="all-well" data-testid="firing-none"><span class="dot good" aria-hidden="true"></span> Nothing fires.</p>`} /></section>`;
}

/** A state and how many processes are in it. @param {{rule: any}} props */
function State({ rule: { status } }) {
    return html`<span class="badge ${TONES[status.state]}">${status.state}</span>`;
}

/** @param {any} status */
const processesText = ({ processes }) => Object.entries(processes).filter(([, count]) => count).map(([state, count]) => `${count} ${state}`).join(", ") || "none";

/** @param {Address} address @param {Series[]} series @returns {import("../rows.js").Column<any>[]} */
const ruleColumns = (address, series) => [
    { id: "name", label: "Rule", width: 10, value: (rule) => rule.name, show: (rule) => ruleLink(address, rule.name) },
    { id: "state", label: "State", width: 6.5, value: (rule) => rule.status.state, show: (rule) => html`<${State} rule=${rule} />` },
    { id: "when", label: "When", width: 18, value: (rule) => conditionText(rule, series), show: (rule) => html`<span title=${conditionText(rule, series)}>${conditionText(rule, series)}</span>` },
    { id: "of", label: "Of", width: 9, value: selectorText, show: (rule) => html`<span title=${selectorText(rule)}>${selectorText(rule)}</span>` },
    { id: "do", label: "Then", width: 12, value: actionsText, show: (rule) => html`<span title=${actionsText(rule)}>${actionsText(rule)}</span>` },
    { id: "processes", label: "Processes", width: 9.5, value: (rule) => processesText(rule.status) },
    { id: "controls", label: "Controls", help: "within the last hour", number: true, width: 7, value: (rule) => rule.status.controls_last_hour },
    { id: "failed", label: "Not started", help: "controls that could not be started", number: true, width: 8, value: (rule) => rule.status.controls_failed },
];

/** One rule: its states by process, and what can be done with it. @param {{store: Store, address: Address, rule: any, series: Series[], refresh: () => void}} props */
function Detail({ store, address, rule, series, refresh }) {
    const [answer, tell] = useAnswer(store);
    const title = useRef(/** @type {HTMLElement|null} */ (null));
    useLayoutEffect(() => title.current?.focus(), [rule.name]);
    const states = useResource((signal) => api.get(`/v1/rules/${rule.name}/states`, signal), [rule.name, rule.revision], { every: RULES_EVERY_MS });
    const off = refusal(store, "control");
    const seen = useRef(rule.revision); /* what a change of ours came to is known before the list is read again */
    seen.current = Math.max(seen.current, rule.revision);
    const match = () => ({ "If-Match": `"${store.startId}-${seen.current}"` });
    const { status, revision: _, created_at: __, changed_at: ___, ...body } = rule;
    const toggle = () => tell(`${rule.enabled ? "Disable" : "Enable"} ${rule.name}`,
        () => api.ask("PUT", `/v1/rules/${rule.name}`, { ...body, enabled: !rule.enabled }, match()).then((now) => { seen.current = now.revision; }).finally(refresh), () => rule.enabled ? "it watches nothing now" : "it watches again");
    const remove = async () => {
        if (await ask({ title: `Delete the rule ${rule.name}?`, action: "Delete", danger: true, text: `It watches ${conditionText(rule, series)} of ${selectorText(rule)}.`,
            cost: status.processes.firing ? `${format.plural(status.processes.firing, "alert")} of it will be resolved.` : "Nothing of it fires now." })) {
            const done = await tell(`Delete ${rule.name}`, () => api.ask("DELETE", `/v1/rules/${rule.name}`, undefined, match()).then(() => true), () => "deleted");
            refresh();
            if (done) {
                change({ rule: null });
            }
        }
    };
    const nameOf = (/** @type {string} */ id) => store.fleet?.processes.find((process) => process.id === id)?.name ?? "";
    return html`<section class="panel" aria-labelledby="rule-title" data-testid="rule-detail">
        <h2 id="rule-title" tabindex="-1" ref=${title}>${rule.name} <${State} rule=${rule} /></h2>
        <dl class="facts-list"><div><dt>When</dt><dd>${conditionText(rule, series)}</dd></div><div><dt>Of</dt><dd>${selectorText(rule)}</dd></div>
            <div><dt>Then</dt><dd>${actionsText(rule)}${rule.every ? `, again every ${rule.every}` : ""}</dd></div>
            <div><dt>Controls</dt><dd>${status.controls_last_hour} in the last hour of at most ${rule.limit_per_hour}, ${status.controls} since the start${status.controls_failed ? `, ${status.controls_failed} could not be started` : ""}</dd></div>
            ${status.last_error ? html`<div><dt>Last error</dt><dd class="bad-text">${status.last_error}</dd></div>` : null}
            <div><dt>Changed</dt><dd>${format.age(Date.now() - Date.parse(rule.changed_at))} ago</dd></div></dl>
        <p class="buttons">
            ${[["Change", { edit: rule.name, copy: null }], ["Copy", { edit: rule.name, copy: 1 }]].map(([text, keys]) => html`<button type="button" key=${text} disabled=${off !== ""} title=${off}
                data-testid="rule-${String(text).toLowerCase()}" onClick=${() => change(/** @type {any} */ (keys), { step: true })}>${text}</button>`)}
            <button type="button" disabled=${off !== ""} title=${off} data-testid="rule-toggle" onClick=${toggle}>${rule.enabled ? "Disable" : "Enable"}</button>
            <button type="button" class="danger" disabled=${off !== ""} title=${off} data-testid="rule-delete" onClick=${remove}>Delete</button>
            <button type="button" data-testid="rule-close" onClick=${() => change({ rule: null })}>Close</button>
            ${off ? html`<span class="hint" data-testid="rule-off">${off}</span>` : null}</p>
        <${AnswerLine} store=${store} answer=${answer} testid="rule-answer" />
        ${states.data?.states.length ? html`<table data-testid="rule-states"><thead><tr><th scope="col">Process</th><th scope="col">State</th><th scope="col">Since</th><th scope="col" class="number">When it held last</th><th scope="col">Type</th></tr></thead>
            <tbody>${states.data.states.map((/** @type {any} */ one) => html`<tr key=${one.process}><th scope="row"><a href=${address.to("process", { process: one.process })}>${nameOf(one.process) || one.process.slice(0, 8)}</a></th>
                <td><span class="badge ${TONES[one.state]}">${one.state}</span></td><td>${format.age(Date.now() - Date.parse(one.since))}</td>
                <td class="number">${valueText(one.value, unitOf(series, rule.when.series))}</td><td>${one.type ?? ""}</td></tr>`)}</tbody></table>`
        : states.data ? html`<p class="hint" data-testid="rule-quiet">${rule.enabled ? "It holds for no process now." : "It is disabled."}</p>` : null}
    </section>`;
}

/** Alerts that are over: the newest out of memory, older ones out of history, page by page. @param {{store: Store, address: Address, series: Series[]}} props */
function Past({ store, address, series }) {
    const past = address.get("past");
    const cursor = address.get("past-cursor");
    const rule = address.get("rule");
    const path = past ? `/v1/history/alerts?from=${past}&limit=${PAGE}` : `/v1/alerts?state=resolved&limit=${PAGE}${rule ? `&rule=${rule}` : ""}`;
    const { data, problem, refresh } = useResource((signal) => api.get(`${path}${cursor ? `&cursor=${cursor}` : ""}`, signal), [path, cursor], { every: cursor ? 0 : ALERTS_EVERY_MS });
    useEffect(() => store.listen("alert", refresh), []);
    const nameOf = (/** @type {string} */ id) => store.fleet?.processes.find((process) => process.id === id)?.name ?? "";
    /** @type {() => import("../rows.js").Column<any>[]} */
    const make = () => past ? [
        { id: "at", label: "At", width: 13, first: "-", value: (a) => a.at, show: (a) => html`<time datetime=${a.at}>${format.moment(a.at)}</time>` },
        { id: "state", label: "State", width: 7, value: (a) => a.state, show: (a) => html`<span class="badge ${TONES[a.state] ?? ""}">${a.state}</span>` },
        { id: "rule", label: "Rule", width: 13, value: (a) => a.rule, show: (a) => ruleLink(address, a.rule) },
        { id: "process", label: "Process", width: 12, value: (a) => nameOf(a.process) || a.process, show: (a) => processLink(address, a.process, nameOf(a.process)) },
        { id: "detail", label: "What", value: (a) => a.detail }, { id: "type", label: "Type", width: 11, value: (a) => a.type },
        { id: "value", label: "Value", number: true, width: 9, value: (a) => a.value, show: (a) => format.count(a.value) },
    ] : [
        { id: "resolved_at", label: "Resolved", width: 8.5, first: "-", value: (a) => a.resolved_at, show: (a) => html`<time datetime=${a.resolved_at}>${format.moment(a.resolved_at)}</time>` },
        ...alertColumns(address, series).filter(({ id }) => id !== "began_at" && id !== "why"),
        { id: "lasted", label: "Lasted", number: true, width: 6, value: (a) => Date.parse(a.resolved_at) - Date.parse(a.began_at), show: (a) => format.age(Date.parse(a.resolved_at) - Date.parse(a.began_at)) },
        { id: "reason", label: "Because", width: 9, value: (a) => REASONS[a.reason] ?? a.reason },
    ];
    const columns = useMemo(make, [past, address, series, store.fleet]);
    const rows = past && rule ? data?.alerts.filter((/** @type {any} */ a) => a.rule === rule) : data?.alerts;
    return html`<section class="panel" aria-labelledby="past-title"><h2 id="past-title">Past${rule ? ` of ${rule}` : ""}</h2>
        <p class="buttons"><label>From <select data-testid="past" value=${past} onChange=${(/** @type {any} */ event) => change({ past: event.target.value, "past-cursor": null, "past-sort": null })}>
            ${PASTS.map(([value, text]) => html`<option key=${value} value=${value} selected=${value === past}>${text}</option>`)}</select></label>
            ${cursor ? html`<button type="button" data-testid="past-newest" onClick=${() => change({ "past-cursor": null }, { step: true })}>Newest</button>` : null}
            ${data?.next_cursor ? html`<button type="button" data-testid="past-older" onClick=${() => change({ "past-cursor": data.next_cursor }, { step: true })}>Older</button>` : null}</p>
        ${problem ? html`<${Failed} problem=${problem} again=${refresh} />` : null}
        ${!data ? problem ? null : html`<${Loading} what="past alerts" />` : html`<${Table} id="past" caption="past alerts" rows=${rows} columns=${columns} address=${address} prefix="past-"
            keyOf=${(/** @type {any} */ a) => a.id ? String(a.id) : `${a.at} ${a.rule} ${a.process} ${a.state} ${a.type}`} order=${past ? "-at" : "-resolved_at"}
            empty=${html`<p class="hint" data-testid="past-none">No alert has ${past ? "changed its state in that time" : "been resolved since tallyd knows"}.</p>`} />`}</section>`;
}

/** @param {import("../views.js").Given} given */
function Body({ store, address }) {
    const { data, problem, refresh } = useResource((signal) => api.get("/v1/rules", signal), [], { every: RULES_EVERY_MS });
    const edit = address.get("edit");
    const name = address.get("rule");
    const off = refusal(store, "control");
    if (!data) {
        return problem ? html`<${Failed} problem=${problem} again=${refresh} />` : html`<${Loading} what="the rules" />`;
    }
    const { rules, series } = data;
    const found = rules.find((/** @type {Rule} */ rule) => rule.name === name);
    const edited = rules.find((/** @type {Rule} */ rule) => rule.name === edit) ?? null;
    const close = (/** @type {string|null} */ saved) => {
        refresh();
        change({ edit: null, copy: null, ...saved ? { rule: saved } : {} }, { step: true });
    };
    const opens = edit === "+" || edited;
    return html`${problem ? html`<${Failed} problem=${problem} again=${refresh} />` : null}
        ${opens ? html`<${RuleForm} key=${`${edit} ${address.get("copy")}`} store=${store} series=${series} rule=${edited} copy=${address.get("copy") !== ""} startId=${store.startId} close=${close} refresh=${refresh} />` : null}
        ${edit && !opens ? html`<p class="notice warn" role="status">There is no rule ${edit} any more.</p>` : null}
        ${found && !opens ? html`<${Detail} key=${found.name} store=${store} address=${address} rule=${found} series=${series} refresh=${refresh} />` : null}
        <${Firing} store=${store} address=${address} series=${series} />
        <section class="panel" aria-labelledby="rules-title"><h2 id="rules-title">Rules</h2>
            <${Table} id="rules" caption="rules" rows=${rules} columns=${ruleColumns(address, series)} keyOf=${(/** @type {Rule} */ rule) => rule.name} address=${address}
                textOf=${(/** @type {any} */ rule) => `${rule.name} ${rule.status.state} ${conditionText(rule, series)} ${selectorText(rule)} ${actionsText(rule)}`}
                linkOf=${(/** @type {Rule} */ rule) => address.with({ rule: rule.name, edit: null })} attributesOf=${(/** @type {any} */ rule) => ({ "data-name": rule.name, "data-state": rule.status.state })}
                empty=${html`<${Empty} title="No rules yet" testid="rules-none"><p>A rule watches a figure of some processes, and tells, collects or sets when its condition holds.</p><//>`} />
            <p class="buttons"><button type="button" class="primary" data-testid="rule-new" disabled=${off !== ""} title=${off} onClick=${() => change({ edit: "+", copy: null }, { step: true })}>New rule</button>
                ${off ? html`<span class="hint" data-testid="rules-off">${off}</span>` : null}</p></section>
        <${Past} store=${store} address=${address} series=${series} />`;
}

/** @type {import("../views.js").View} */
export default { title: "Alerts & rules", needsProcess: false, topics: () => [], Body };
