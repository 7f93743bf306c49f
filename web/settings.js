/* The configuration: of each setting what is in force, where heaps differ of each, and a way to change it. What tallyd
 * says against a value stands at its field; what costs the program is asked about first. */

import { html, useState } from "./vendor/htm-preact.js";
import * as api from "./api.js";
import { ask as confirmed, pauseCost } from "./confirm.js";
import { pathOf, whyNot } from "./controls.js";
import * as format from "./format.js";
import { AnswerLine, useAnswer } from "./operation.js";

/** @typedef {import("./store.js").Store} Store @typedef {import("./controls.js").Subject} Subject */
/** @typedef {import("./vendor/htm-preact.js").Child} Child */
/** @typedef {Record<string, any>} Draft what is in the fields */
/** @typedef {import("./confirm.js").Question} Question */
/** @typedef {{id: string, member: string, label: string, help: string, valueOf: (subject: Subject) => any, text: (value: any) => string,
 *   draftOf: (value: any) => Draft, bodyOf: (draft: Draft) => any, fields: (given: Given) => Child,
 *   question?: (value: any, pause: number|null) => Question|null}} Setting
 * member   of the PATCH's body
 * valueOf  what is in force: null where heaps differ
 * bodyOf   what is sent; nonsense too, as tallyd says best what is wrong with it */
/** @typedef {{draft: Draft, set: (change: Draft) => void, described: Record<string, unknown>, managers: string[]}} Given */

const FLAGS = ["stats", "collectable", "uncollectable", "saveall"];
const UNITS = /** @type {const} */ ({ B: 1, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 });

/** A number where it is one, else what was typed. @param {string} text */
const typed = (text) => String(text).trim() !== "" && Number.isFinite(Number(text)) ? Number(text) : text;

/** @param {Given} given @param {string} name @param {string} label @param {string} [mode] */
const field = ({ draft, set, described }, name, label, mode = "numeric") => html`<input type="text" inputmode=${mode} autocomplete="off" spellcheck="false" data-field=${name}
    aria-label=${label} value=${draft[name]} ...${described} onInput=${(/** @type {any} */ event) => set({ [name]: event.target.value })} />`;

/** @param {Given} given @param {string} name @param {string} label @param {readonly string[]} options @param {string} [unset] */
const choice = ({ draft, set, described }, name, label, options, unset) => html`<select data-field=${name} aria-label=${label} value=${draft[name]} ...${described}
    onChange=${(/** @type {any} */ event) => set({ [name]: event.target.value })}>
    ${unset && !options.includes(draft[name]) ? html`<option value="" disabled>${unset}</option>` : null}
    ${options.map((option) => html`<option key=${option} value=${option}>${option}</option>`)}</select>`;

/** @param {Given} given @param {string} name @param {string} label */
const tick = ({ draft, set, described }, name, label) => html`<label key=${name}><input type="checkbox" data-field=${name} checked=${Boolean(draft[name])} ...${described}
    onChange=${(/** @type {any} */ event) => set({ [name]: event.target.checked })} /> ${label}</label>`;

/** @param {number} bytes @returns {{amount: string, unit: string}} in the largest unit that leaves no rest */
function inUnits(bytes) {
    const unit = /** @type {(keyof typeof UNITS)[]} */ (["GiB", "MiB", "KiB"]).find((one) => bytes && bytes % UNITS[one] === 0) ?? (bytes ? "B" : "MiB");
    return { amount: String(bytes / UNITS[unit]), unit };
}

/** @type {Setting[]} */
export const SETTINGS = [
    { id: "manager", member: "manager", label: "Manager", help: "How dead cycles are found. Reference counting goes on under all of them.",
        valueOf: ({ manager }) => manager, text: String, draftOf: (value) => ({ manager: value ?? "" }), bodyOf: ({ manager }) => manager,
        fields: (given) => choice(given, "manager", "Manager", given.managers, "choose"),
        question: (value, pause) => value === "" ? null : ({ title: `Change the manager to ${value}`, action: "Change", danger: value === "none",
            text: value === "none" ? "Nothing is freed any more, not even what reference counting would free, until the manager changes again: memory grows."
                : value === "refcount" ? "Cycles are no longer found by themselves: what they hold stays allocated."
                    : "Candidates that were not recorded are unknown to the new manager, so the next automatic run examines the whole heap.",
            cost: ["none", "refcount"].includes(value) ? "" : `The next run takes the whole heap. ${pauseCost(pause)}` }) },
    { id: "thresholds", member: "thresholds", label: "Thresholds", help: "0: candidates, or new objects, before a run. 1 and 2: runs of the generation below, under the manager generational. 0 0 0: none by itself.",
        valueOf: ({ thresholds }) => thresholds, text: (value) => value.join(" · "),
        draftOf: (value) => ({ t0: value?.[0] ?? "", t1: value?.[1] ?? "", t2: value?.[2] ?? "" }), bodyOf: ({ t0, t1, t2 }) => [typed(t0), typed(t1), typed(t2)],
        fields: (given) => html`<span class="together">${[0, 1, 2].map((n) => field(given, `t${n}`, `Threshold ${n}`))}</span>` },
    { id: "max_pause", member: "max_pause_us", label: "Maximum pause", help: "Automatic collections run in slices of at most so long. 0: no limit.",
        valueOf: ({ max_pause_us }) => max_pause_us, text: (value) => format.limit(value * 1000, format.duration),
        draftOf: (value) => ({ us: value ?? "" }), bodyOf: ({ us }) => typed(us), fields: (given) => html`<span class="together">${field(given, "us", "Maximum pause in microseconds")} µs</span>` },
    { id: "memory_limit", member: "memory_limit_bytes", label: "Memory limit", help: "Pages and native memory together: near it the whole heap is collected before more is taken. 0: no limit.",
        valueOf: ({ memory_limit_bytes }) => memory_limit_bytes, text: (value) => format.limit(value, format.bytes),
        draftOf: (value) => value === null || value === undefined ? { amount: "", unit: "MiB" } : inUnits(value),
        bodyOf: ({ amount, unit }) => { const n = typed(amount); return typeof n === "number" ? n * UNITS[/** @type {keyof typeof UNITS} */ (unit)] : n; },
        fields: (given) => html`<span class="together">${field(given, "amount", "Memory limit", "decimal")} ${choice(given, "unit", "Unit of the memory limit", Object.keys(UNITS))}</span>` },
    { id: "events", member: "events", label: "Events", help: "Whether allocations and frees are told one by one. Counters and collections always are.",
        valueOf: (subject) => subject.events?.level ?? null, text: String, draftOf: (value) => ({ level: value ?? "" }), bodyOf: ({ level }) => level,
        fields: (given) => choice(given, "level", "Level of events", ["all", "off"], "choose") },
    { id: "debug", member: "debug", label: "Debug flags", help: "What collections tell, or keep: saveall puts all they find on the garbage list instead of freeing it.",
        valueOf: ({ debug }) => debug, text: (value) => value.join(", ") || "none",
        draftOf: (value) => Object.fromEntries(FLAGS.map((flag) => [flag, value?.includes(flag) ?? false])), bodyOf: (draft) => FLAGS.filter((flag) => draft[flag]),
        fields: (given) => html`<span class="together">${FLAGS.map((flag) => tick(given, flag, flag))}</span>`,
        question: (value) => value.includes("saveall") ? { title: "Keep all that collections find", action: "Set saveall", danger: true,
            text: "Every object that a collection finds goes to the garbage list instead of being freed.", cost: "Memory grows with each collection until the garbage list is cleared." } : null },
    { id: "stress", member: "stress", label: "Stress", help: "Collects the whole heap at every n-th allocation, to find faults. 0: at none.",
        valueOf: ({ stress }) => stress ?? null, text: ({ nth, every_decref }) => [nth ? `every ${format.exact(nth)} allocations` : "", every_decref ? "every decref" : ""].filter(Boolean).join(", ") || "off",
        draftOf: (value) => ({ nth: value?.nth ?? "", every_decref: value?.every_decref ?? false }), bodyOf: ({ nth, every_decref }) => ({ nth: typed(nth === "" ? 0 : nth), every_decref }),
        fields: (given) => html`<span class="together">${field(given, "nth", "A collection at every n-th allocation")} ${tick(given, "every_decref", "every decref")}</span>`,
        question: (value, pause) => value.nth || value.every_decref ? { title: "Stress the program", action: "Stress", danger: true,
            text: value.every_decref ? "The whole heap is collected at every reference that is given back." : `The whole heap is collected at every ${format.exact(value.nth)} allocations.`,
            cost: `The program becomes slow, perhaps very. ${pauseCost(pause)} That is for each of these collections.` } : null },
];

/** Where heaps differ: the value of each, with the way to it. @param {{setting: Setting, subject: Subject, link: (heap: number) => string}} props */
function InForce({ setting, subject, link }) {
    const value = setting.valueOf(subject);
    if (value !== null && value !== undefined) {
        return html`<span class="in-force" data-testid=${`in-force-${setting.id}`}>${setting.text(value)}</span>`;
    }
    const heaps = "heaps" in subject ? subject.heaps.filter(({ gone }) => !gone) : [];
    return html`<span class="in-force differ" data-testid=${`in-force-${setting.id}`}>heaps differ: ${heaps.map((heap) => {
        const own = setting.valueOf(/** @type {Subject} */ (heap));
        return html`<a key=${heap.n} href=${link(heap.n)}>${heap.n}: ${own === null || own === undefined ? "not known" : setting.text(own)}</a> `;
    })}</span>`;
}

/** Reads what is in force now, ahead of the stream. @param {Store} store */
const inForce = (store) => api.stats(store.chosen).then((stats) => store.setStats(stats), () => undefined);

/** What the API says of a field, without repeating the member's name as a path. @param {import("./api.js").Problem} problem */
const problemText = (problem) => problem.message;

/** @param {{store: Store, heap: number, subject: Subject, setting: Setting, why: string, pause: number|null, link: (heap: number) => string,
 *           ask: ReturnType<typeof useAnswer>[1]}} props */
function Row({ store, heap, subject, setting, why, pause, link, ask }) {
    const [edited, setEdited] = useState(/** @type {Draft|null} */ (null));
    const [problem, setProblem] = useState("");
    const draft = edited ?? setting.draftOf(setting.valueOf(subject));
    const problemId = `problem-${setting.id}`;
    const submit = async (/** @type {Event} */ event) => {
        event.preventDefault();
        const value = setting.bodyOf(draft);
        const question = setting.question?.(value, pause);
        if (question && !await confirmed(question)) {
            return;
        }
        setProblem("");
        const answer = await ask(setting.label, () => api.ask("PATCH", `${pathOf(store.chosen, heap)}/config`, { [setting.member]: value })
            .catch((failure) => { setProblem(problemText(failure)); throw failure; }),
        (config) => `in force: ${setting.text(setting.valueOf(/** @type {any} */ ({ ...config, events: { level: config.events } })) ?? setting.bodyOf(draft))}`);
        if (answer?.kind && answer.state !== "succeeded") {
            setProblem(format.operationText(answer));
        } else if (answer) {
            await inForce(store); /* before the draft goes: what is shown next must not be what was before */
            setEdited((now) => now === edited ? null : now); /* what was typed meanwhile stays */
        }
    };
    const described = { "aria-describedby": problem ? problemId : `help-${setting.id}`, "aria-invalid": problem ? "true" : null };
    const given = { draft, described, managers: store.info?.managers ?? [], set: (/** @type {Draft} */ change) => setEdited({ ...draft, ...change }) };
    return html`<form class="setting ${edited ? "edited" : ""}" noValidate data-testid=${`setting-${setting.id}`} onSubmit=${submit}
            onKeyDown=${(/** @type {KeyboardEvent} */ event) => { if (event.key === "Escape" && edited) { setEdited(null); setProblem(""); } }}>
        <div class="setting-name"><span>${setting.label}</span> <${InForce} setting=${setting} subject=${subject} link=${link} /></div>
        <fieldset class="plain" disabled=${why !== ""}><legend class="unseen">Change ${setting.label}</legend>
            ${setting.fields(given)}<button type="submit" class="small" data-testid=${`set-${setting.id}`}>Set<span class="unseen"> ${setting.label}</span></button></fieldset>
        ${problem ? html`<p class="field-problem" id=${problemId} role="alert" data-testid=${problemId}>${problem}</p>` : null}
        <p class="setting-help" id=${`help-${setting.id}`}>${setting.help}</p>
    </form>`;
}

/** @param {{store: Store, heap: number, subject: Subject, pause: number|null, link: (heap: number) => string}} props pause: predicted of the whole heap */
export function Settings({ store, heap, subject, pause, link }) {
    const [answer, ask] = useAnswer(store);
    const why = whyNot(store, subject);
    return html`<section class="panel" aria-labelledby="settings-title"><h3 id="settings-title">Configuration${heap ? ` of heap ${heap}` : ""}</h3>
        ${why ? html`<p class="hint">${why}</p>` : null}
        <div class="settings">${SETTINGS.map((setting) => html`<${Row} key=${`${store.chosen}/${heap}/${setting.id}`} store=${store} heap=${heap} subject=${subject} setting=${setting}
            why=${why} pause=${pause} link=${link} ask=${ask} />`)}</div>
        <${AnswerLine} store=${store} answer=${answer} testid="settings-answer" />
    </section>`;
}
