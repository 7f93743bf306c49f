/* The form in which a rule is made or changed: what it watches, of the API's own catalogue, what its condition comes to
 * now, and what tallyd has against it, at the field that it is about. */

import { html, useEffect, useLayoutEffect, useMemo, useRef, useState } from "./vendor/htm-preact.js";
import * as api from "./api.js";
import * as format from "./format.js";
import { evaluate, needs } from "./condition.js";
import { useResource } from "./resource.js";
import { CONDITIONS, NEW, SETTINGS, bodyOf, fieldOf, formOf, hasWindow, ofTypes, valueText } from "./rule.js";
import { refusal } from "./states.js";

const PREVIEW_AFTER_MS = 400;
const PREVIEW_EVERY_MS = 5000;
const PREVIEWED = 12;

/** @typedef {import("./types").Rule} Rule */
/** @typedef {import("./types").Series} Series */
/** @typedef {import("./types").Summary} Summary */
/** @typedef {import("./rule.js").Form} Form */
/** @typedef {(event: {currentTarget: any}) => void} Change */

/** @param {{form: Form, name: keyof Form, label: string, hint?: string, wrong: {field: string, text: string}|null, children?: any}} props */
function Field({ name, label, hint, wrong, children }) {
    const bad = wrong?.field === name;
    return html`<div class="field ${bad ? "bad" : ""}"><label for="rule-${name}">${label}</label>${children}
        ${hint ? html`<span class="hint" id="rule-${name}-hint">${hint}</span>` : null}
        ${bad ? html`<p class="wrong" role="alert" id="rule-${name}-wrong" data-testid="rule-wrong" data-field=${name}>${wrong.text}</p>` : null}</div>`;
}

/** What a field has in common with all others. @param {Form} form @param {keyof Form} name @param {{field: string}|null} wrong @param {boolean} [hinted] */
const bound = (form, name, wrong, hinted = false) => ({ id: `rule-${name}`, name, value: form[name], "data-testid": `rule-${name}`,
    "aria-invalid": wrong?.field === name ? "true" : null,
    "aria-describedby": [hinted && `rule-${name}-hint`, wrong?.field === name && `rule-${name}-wrong`].filter(Boolean).join(" ") || null });

/** The series, in groups that people look for. @param {Series[]} series @returns {[string, Series[]][]} */
const grouped = (series) => [
    ["Figures", series.filter(({ name }) => !name.endsWith("_per_s") && !ofTypes(name))],
    ["Types", series.filter(({ name }) => ofTypes(name))],
    ["Rates", series.filter(({ name }) => name.endsWith("_per_s"))],
];

/** Whom a form's selector fits. @param {any} selector @param {Summary[]} processes */
const chosen = (selector, processes) => processes.filter(({ state, name, labels }) => state === "live" && (!selector.name || selector.name === name)
    && Object.entries(selector.label ?? {}).every(([key, value]) => labels[key] === value));

/** What the condition comes to now, by process. @param {{body: any, unit: string, processes: Summary[]}} props */
function Preview({ body, unit, processes }) {
    const fit = chosen(body.selector, processes);
    const shown = fit.slice(0, PREVIEWED);
    const asked = needs(body.when);
    const { data, loading } = useResource((signal) => Promise.all(shown.map(async ({ id }) => {
        const known = await Promise.all(Object.entries(asked).map(async ([kind, path]) => [kind, await api.get(api.one(id) + path, signal).catch(() => null)]));
        return evaluate(body.when, Object.fromEntries(known));
    })), [JSON.stringify(asked), shown.map(({ id }) => id).join(), JSON.stringify(body.when)], { every: PREVIEW_EVERY_MS });
    const known = data?.length === shown.length ? data : null;
    const holding = known?.filter(({ holds }) => holds).length ?? 0;
    return html`<section class="preview" aria-labelledby="preview-title"><h3 id="preview-title">What it comes to now</h3>
        <p role="status" data-testid="preview" data-holding=${holding}>${!fit.length ? "No live process fits. The rule will watch those that come."
            : !known ? loading ? "Looking…" : "" : `${shown.length === 1 ? holding ? "It would fire for the one process that fits" : "It would not fire for the one process that fits" : `It would fire for ${format.exact(holding)} of ${format.exact(shown.length)} processes`}${holding && body.when.for ? ` once it has held for ${body.when.for}` : ""}.`}</p>
        ${needs(body.when).history ? html`<p class="hint" data-testid="preview-about">Reckoned here from the history, which has a value a second: the rule itself looks more often, and may find a little more or less.</p>` : null}
        ${known && shown.length ? html`<table><thead><tr><th scope="col">Process</th><th scope="col" class="number">${"grows_by" in body.when || body.when.grows_steadily ? "Has grown by" : "Is"}</th><th scope="col">Condition</th></tr></thead>
            <tbody>${shown.map((process, i) => html`<tr key=${process.id} data-process=${process.name}><th scope="row">${process.name} <span class="pid">${process.pid ?? ""}</span></th>
                <td class="number">${valueText(known[i].value, unit)}${known[i].type ? html` <span class="pid">${known[i].type}</span>` : null}</td>
                <td>${known[i].holds === null ? html`<span class="pid">${known[i].why}</span>` : known[i].holds ? html`<span class="badge warn">holds</span>` : html`<span class="badge">does not hold</span>`}</td></tr>`)}</tbody></table>` : null}
        ${fit.length > shown.length ? html`<p class="hint">The first ${shown.length} of ${fit.length} that fit.</p>` : null}</section>`;
}

/** @param {{form: Form, set: Change, wrong: {field: string, text: string}|null, series: Series[], types: string[]}} props */
function Watched({ form, set, wrong, series, types }) {
    const one = series.find(({ name }) => name === form.series);
    const unit = one?.unit ?? "";
    const words = CONDITIONS.filter(({ word }) => !form.series.endsWith("_per_s") || !word.startsWith("grows"));
    return html`<fieldset><legend>When</legend>
        <${Field} form=${form} name="series" label="Series" hint=${one?.help} wrong=${wrong}><select ...${bound(form, "series", wrong, true)} onChange=${set}>
            ${grouped(series).map(([label, list]) => html`<optgroup key=${label} label=${label}>${list.map(({ name }) => html`<option key=${name} value=${name} selected=${name === form.series}>${name}</option>`)}</optgroup>`)}</select><//>
        ${ofTypes(form.series) ? html`<${Field} form=${form} name="type" label="Type" hint="Without one: each, and one that fits is enough" wrong=${wrong}>
            <input list="rule-types" maxlength="255" ...${bound(form, "type", wrong, true)} onInput=${set} /><datalist id="rule-types">${types.map((name) => html`<option value=${name} />`)}</datalist><//>` : null}
        <${Field} form=${form} name="condition" label="Condition" wrong=${wrong}><select ...${bound(form, "condition", wrong)} onChange=${set}>
            ${words.map(({ word, text }) => html`<option key=${word} value=${word} selected=${word === form.condition}>${text}</option>`)}</select><//>
        ${form.condition === "grows_steadily" ? null : html`<${Field} form=${form} name="bound" label="Bound" wrong=${wrong}
            hint=${`In ${unit}${unit.startsWith("bytes") ? ", such as 64 MiB" : unit.startsWith("nano") ? ", such as 5 ms" : ", such as 10 k"}${form.condition.startsWith("grows") ? "; or a share, such as 20%" : ""}`}>
            <input required autocomplete="off" ...${bound(form, "bound", wrong, true)} onInput=${set} /><//>`}
        ${hasWindow(form.series, form.condition) ? html`<${Field} form=${form} name="over" label="Over" hint="10s to 7d; ${form.series.endsWith("_per_s") ? "10s" : "60s"} without it" wrong=${wrong}>
            <input autocomplete="off" ...${bound(form, "over", wrong, true)} onInput=${set} /><//>` : null}
        <${Field} form=${form} name="for" label="For" hint="So long it must hold before it fires; at once without it" wrong=${wrong}><input autocomplete="off" ...${bound(form, "for", wrong, true)} onInput=${set} /><//>
    </fieldset>
    <fieldset><legend>Of which processes</legend>
        <${Field} form=${form} name="process" label="Named" hint="Without it: whatever their name" wrong=${wrong}><input maxlength="255" autocomplete="off" ...${bound(form, "process", wrong, true)} onInput=${set} /><//>
        <${Field} form=${form} name="labels" label="Labelled" hint="key=value, key=value: all must fit" wrong=${wrong}><input autocomplete="off" ...${bound(form, "labels", wrong, true)} onInput=${set} /><//>
    </fieldset>`;
}

/** @param {{form: Form, set: Change, wrong: {field: string, text: string}|null, leave: (index: number) => void}} props */
function Done({ form, set, wrong, leave }) {
    const controls = form.collect || form.setting || form.rest.length;
    return html`<fieldset><legend>Then</legend>
        <div class="field"><span class="label-text">Tell</span><span class="checks">
            <label><input type="checkbox" name="alert" data-testid="rule-alert" checked=${form.alert} onChange=${set} /> alert</label>
            <label><input type="checkbox" name="log" data-testid="rule-log" checked=${form.log} onChange=${set} /> log</label></span>
            ${wrong?.field === "log" ? html`<p class="wrong" role="alert" data-testid="rule-wrong" data-field="log">${wrong.text}</p>` : null}</div>
        <${Field} form=${form} name="collect" label="Collect" wrong=${wrong}><select ...${bound(form, "collect", wrong)} onChange=${set}>
            <option value="">no</option>${[0, 1, 2].map((n) => html`<option key=${n} value=${n} selected=${form.collect === String(n)}>generation ${n}${n === 2 ? " (all)" : ""}</option>`)}</select><//>
        <${Field} form=${form} name="setting" label="Set" wrong=${wrong}><select ...${bound(form, "setting", wrong)} onChange=${set}>
            <option value="">nothing</option>${Object.entries(SETTINGS).map(([name, { text }]) => html`<option key=${name} value=${name} selected=${name === form.setting}>${text}</option>`)}</select><//>
        ${form.setting ? html`<${Field} form=${form} name="value" label="To" hint=${SETTINGS[form.setting].hint} wrong=${wrong}><input required autocomplete="off" ...${bound(form, "value", wrong, true)} onInput=${set} /><//>` : null}
        ${form.rest.map((action, i) => html`<p class="field" key=${i}><span class="label-text">And</span><code>${JSON.stringify(action)}</code> <button type="button" class="small" onClick=${() => leave(i)}>Leave out</button></p>`)}
        ${controls ? html`<${Field} form=${form} name="every" label="Again every" hint="While it fires, 10s to 24h; without it once" wrong=${wrong}><input autocomplete="off" ...${bound(form, "every", wrong, true)} onInput=${set} /><//>
            <${Field} form=${form} name="limit" label="At most an hour" hint="1 to 360 over all processes; 6 without it" wrong=${wrong}><input inputmode="numeric" autocomplete="off" ...${bound(form, "limit", wrong, true)} onInput=${set} /><//>` : null}
    </fieldset>`;
}

/** The form's values that come late, after a pause in typing. @template T @param {T} value @returns {T} */
function useCalm(value) {
    const [calm, set] = useState(value);
    useEffect(() => {
        const timer = setTimeout(() => set(value), PREVIEW_AFTER_MS);
        return () => clearTimeout(timer);
    }, [JSON.stringify(value)]);
    return calm;
}

/** @param {{store: import("./store.js").Store, series: Series[], rule: Rule|null, copy: boolean, startId: string, close: (name: string|null) => void, refresh: () => void}} props
 * rule: that is changed, or copied, or null: a new one. close: with the name of what was saved, or null. refresh: reads the rules again */
export function RuleForm({ store, series, rule, copy, startId, close, refresh }) {
    const fresh = !rule || copy;
    const revision = useRef(rule?.revision).current; /* of what is being changed, whatever comes meanwhile */
    const [form, setForm] = useState(() => rule ? { ...formOf(rule, series), name: copy ? `${rule.name.slice(0, 58)}-copy` : rule.name } : NEW);
    const [wrong, setWrong] = useState(/** @type {{field: string, text: string}|null} */ (null));
    const [busy, setBusy] = useState(false);
    const title = useRef(/** @type {HTMLElement|null} */ (null));
    useLayoutEffect(() => title.current?.focus(), []); /* before the next key */
    const types = useResource(async (signal) => {
        const live = store.fleet?.processes.filter(({ state }) => state === "live").slice(0, 5) ?? [];
        const all = await Promise.all(live.map(({ id }) => api.get(`${api.one(id)}/types?limit=200`, signal).catch(() => ({ types: [] }))));
        return [...new Set(all.flatMap(({ types: list }) => list.map((/** @type {{name: string}} */ type) => type.name)))].sort();
    }, []);
    const set = (/** @type {{currentTarget: any}} */ { currentTarget: { type, name, checked, value } }) => {
        setWrong((old) => old?.field === name ? null : old);
        setForm((old) => {
            const next = { ...old, [name]: type === "checkbox" ? checked : value };
            return next.series.endsWith("_per_s") && next.condition.startsWith("grows") ? { ...next, condition: "above" } : next;
        });
    };
    const body = useMemo(() => bodyOf(form, series), [form]);
    const calm = useCalm(body);
    const unit = series.find(({ name }) => name === form.series)?.unit ?? "";
    const save = async (/** @type {Event} */ event) => {
        event.preventDefault();
        setBusy(true);
        try {
            /** @type {Record<string, string>} */
            const match = fresh ? { "If-None-Match": "*" } : { "If-Match": `"${startId}-${revision}"` };
            await api.ask("PUT", `/v1/rules/${encodeURIComponent(form.name)}`, body, match);
            close(form.name);
        } catch (error) {
            const problem = /** @type {api.Problem} */ (error);
            const field = problem.code === "precondition_failed" ? "name" : fieldOf(problem);
            problem.code === "precondition_failed" && refresh(); /* the form that is opened next is of what there is now */
            setWrong({ field, text: problem.code !== "precondition_failed" ? problem.message
                : fresh ? "A rule of this name exists." : "Somebody else has changed this rule meanwhile: close this form and open it again." });
            setTimeout(() => document.getElementById(`rule-${field}`)?.focus(), 0);
        }
        setBusy(false);
    };
    const off = refusal(store, "control");
    return html`<form class="panel rule-form" aria-labelledby="rule-form-title" data-testid="rule-form" onSubmit=${save}
            onKeyDown=${(/** @type {KeyboardEvent} */ event) => { if (event.key === "Escape") { close(null); } }}>
        <h2 id="rule-form-title" tabindex="-1" ref=${title}>${copy ? `A copy of ${rule?.name}` : rule ? `Change ${rule.name}` : "A new rule"}</h2>
        <div class="rule-columns"><div>
            <fieldset><legend class="unseen">The rule</legend>
                ${fresh ? html`<${Field} form=${form} name="name" label="Name" hint="a to z, 0 to 9, _ . -" wrong=${wrong}><input required maxlength="63" autocomplete="off" spellcheck="false" ...${bound(form, "name", wrong, true)} onInput=${set} /><//>` : null}
                <div class="field"><span class="label-text">In force</span><label class="checks"><input type="checkbox" name="enabled" data-testid="rule-enabled" checked=${form.enabled} onChange=${set} /> enabled</label></div>
            </fieldset>
            <${Watched} form=${form} set=${set} wrong=${wrong} series=${series} types=${types.data ?? []} />
            <${Done} form=${form} set=${set} wrong=${wrong} leave=${(/** @type {number} */ at) => setForm({ ...form, rest: form.rest.filter((_, i) => i !== at) })} />
        </div>
        <${Preview} body=${calm} unit=${unit} processes=${store.fleet?.processes ?? []} /></div>
        ${wrong && (!wrong.field || (wrong.field === "name" && !fresh)) ? html`<p class="notice bad" role="alert" data-testid="rule-wrong" data-field="">${wrong.text}</p>` : null}
        <p class="buttons"><button class="primary" data-testid="rule-save" disabled=${busy || off !== ""} title=${off}>${fresh ? "Make the rule" : "Save"}</button>
            <button type="button" data-testid="rule-cancel" onClick=${() => close(null)}>Cancel</button>
            ${off ? html`<span class="hint" data-testid="rule-off">${off}</span>` : null}</p>
    </form>`;
}
