/* How tallyd itself is: what is not well first, then what it uses, does and allows, and who may ask it. */

import { html, useMemo, useRef, useState } from "../vendor/htm-preact.js";
import { announce } from "../announce.js";
import * as api from "../api.js";
import { ask } from "../confirm.js";
import { Spark } from "../drawings.js";
import { parse, total } from "../exposition.js";
import * as format from "../format.js";
import { findings } from "../health.js";
import { AnswerLine, useAnswer } from "../operation.js";
import { useResource } from "../resource.js";
import { Failed, Loading, refusal } from "../states.js";
import { Table } from "../table.js";

const EVERY_MS = 3000;
/** Rates need two samples. */
const SOON_MS = 1000;
const KEPT = 200;
const NOTHING = /** @type {readonly null[]} */ (Array(KEPT).fill(null));
/** Rates are over so many samples, which are kept whole; of older ones the courses alone. */
const WHOLE = 5;
const THREADS = ["intake", "ticker", "rules", "history"];
const LIFETIMES = [["3600", "1 hour"], ["86400", "1 day"], ["2592000", "30 days"], ["31536000", "1 year"], ["", "for ever"]];
const WORDS = { bad: "Not well", warn: "Look at this", note: "To know" };

/** @typedef {import("../store.js").Store} Store */
/** @typedef {import("../address.js").Address} Address */
/** @typedef {import("../health.js").Figures} Figures */
/** @typedef {{info: any, figures: Figures, at: number}} Sample */
/** @typedef {Record<"cpu"|"memory"|"requests"|"views", readonly (number|null)[]>} Courses */

/** @param {AbortSignal} signal @returns {Promise<Sample>} */
async function sample(signal) {
    const [info, text] = await Promise.all([api.get("/v1/info", signal), api.blob("/metrics?detail=own", signal).then((blob) => blob.text())]);
    return { info, figures: parse(text, ["tallyd_", "process_"]), at: info.uptime_ns / 1e9 };
}

/** A figure's change a second between two samples of one tallyd. @param {Sample|undefined} old @param {Sample} now @param {string} name @param {Record<string, string>} [labels] */
function rateOf(old, now, name, labels) {
    const before = old && total(old.figures, name, labels);
    const after = total(now.figures, name, labels);
    return !old || old.info.start_id !== now.info.start_id || now.at <= old.at || after === null ? null : Math.max(0, after - (before ?? 0)) / (now.at - old.at);
}

/** @param {{found: import("../health.js").Finding[]}} props */
function Health({ found }) {
    const ill = found.filter(({ tone }) => tone !== "note");
    return html`<section aria-labelledby="health-title" data-testid="health" data-ill=${ill.length}><h2 id="health-title" class="unseen">How it is</h2>
        ${ill.length ? null : html`<p class="all-well" role="status"><span class="dot good" aria-hidden="true"></span> tallyd is well.</p>`}
        <ul class="findings">${found.map(({ tone, title, advice }) => html`<li key=${title} class=${tone} data-tone=${tone}>
            <span class="badge ${tone}">${WORDS[tone]}</span><div><strong>${title}</strong> ${advice}</div></li>`)}</ul></section>`;
}

/** @returns {Courses} */
const noCourses = () => ({ cpu: NOTHING, memory: NOTHING, requests: NOTHING, views: NOTHING });

/** The newest samples, and the courses so far; another tallyd's begin anew. @param {Sample|null} newest */
function useSamples(newest) {
    const kept = useRef({ samples: /** @type {Sample[]} */ ([]), courses: noCourses() });
    const { samples, courses } = kept.current;
    const last = samples.at(-1);
    if (newest && newest !== last) {
        if (last && last.info.start_id !== newest.info.start_id) {
            kept.current = { samples: [newest], courses: noCourses() };
            return kept.current;
        }
        const add = (/** @type {keyof Courses} */ name, /** @type {number|null} */ value) => { courses[name] = [...courses[name].slice(1), value]; };
        add("cpu", rateOf(last, newest, "process_cpu_seconds_total"));
        add("memory", total(newest.figures, "process_resident_memory_bytes"));
        add("requests", rateOf(last, newest, "tallyd_http_requests_total"));
        add("views", rateOf(last, newest, "tallyd_views_total"));
        samples.push(newest);
        samples.splice(0, samples.length - WHOLE);
    }
    return kept.current;
}

/** @param {{samples: Sample[], courses: Courses}} props */
function Figures({ samples, courses }) {
    const now = /** @type {Sample} */ (samples.at(-1));
    const old = samples[0];
    const at = (/** @type {string} */ name) => total(now.figures, name);
    const cpu = rateOf(old, now, "process_cpu_seconds_total");
    const requests = rateOf(old, now, "tallyd_http_requests_total");
    const { processes, limits, uptime_ns: uptime } = now.info;
    /** @type {[string, any, string, readonly (number|null)[]|null][]} */
    const rows = [
        ["CPU", cpu === null ? "–" : `${(cpu * 100).toFixed(2)} % of a core`, now.figures.get("process_cpu_seconds_total")?.help ?? "", courses.cpu],
        ["Resident memory", format.bytes(at("process_resident_memory_bytes")), now.figures.get("process_resident_memory_bytes")?.help ?? "", courses.memory],
        ["Requests", format.rate(requests === null ? null : Math.round(requests * 10) / 10), now.figures.get("tallyd_http_requests_total")?.help ?? "", courses.requests],
        ["Views made", format.rate(rateOf(old, now, "tallyd_views_total")), now.figures.get("tallyd_views_total")?.help ?? "", courses.views],
        ["Programs", `${format.exact(processes.live)} live, ${format.exact(processes.gone)} gone`, "", null],
        ["Streams", `${format.exact(at("tallyd_sse_clients"))} of ${format.exact(limits.streams)}`, now.figures.get("tallyd_sse_clients")?.help ?? "", null],
        ["Descriptors", `${format.exact(at("process_open_fds"))} of ${format.exact(at("process_max_fds"))}`, now.figures.get("process_open_fds")?.help ?? "", null],
        ["Up", html`${format.age(uptime / 1e6)}, since <time datetime=${now.info.started_at}>${format.moment(now.info.started_at)}</time>`,
            `Since ${format.dateTime(now.info.started_at)}. Whatever is counted here, times of attaching and lost events too, counts from then on`, null],
    ];
    return html`<dl class="figures-row ops-figures" data-testid="daemon-figures">${rows.map(([label, value, help, values]) => html`<div key=${label} title=${help} data-figure=${label}>
        <dt>${label}</dt><dd>${value}</dd>${values ? html`<${Spark} values=${values} floats />` : null}</div>`)}</dl>`;
}

/** @param {{samples: Sample[]}} props */
function Threads({ samples }) {
    const now = /** @type {Sample} */ (samples.at(-1));
    const old = samples[0];
    return html`<section class="panel" aria-labelledby="threads-title"><h2 id="threads-title">Work</h2>
        <p class="hint">${now.figures.get("tallyd_rounds_total")?.help}</p>
        <table data-testid="daemon-threads"><thead><tr><th scope="col">Thread</th><th scope="col" class="number">Rounds</th><th scope="col" class="number">Mean now</th>
            <th scope="col" class="number">Mean since start</th><th scope="col" class="number">Longest</th></tr></thead>
        <tbody>${THREADS.map((thread) => {
            const rate = rateOf(old, now, "tallyd_rounds_total", { thread });
            const busy = rateOf(old, now, "tallyd_round_seconds_total", { thread });
            const all = total(now.figures, "tallyd_round_seconds_total", { thread });
            const rounds = total(now.figures, "tallyd_rounds_total", { thread });
            return html`<tr key=${thread}><th scope="row">${thread}</th><td class="number">${rate === null ? "–" : `${rate.toFixed(1)}/s`}</td>
                <td class="number">${format.duration(rate && busy !== null ? busy / rate * 1e9 : null)}</td><td class="number">${format.duration(rounds ? (all ?? 0) / rounds * 1e9 : null)}</td>
                <td class="number">${format.duration((total(now.figures, "tallyd_longest_round_seconds", { thread }) ?? 0) * 1e9)}</td></tr>`;
        })}</tbody></table></section>`;
}

/** @param {{info: any}} props */
function History({ info: { history, state_dir: folder } }) {
    return html`<section class="panel" aria-labelledby="history-title"><h2 id="history-title">History</h2>
        ${!history ? html`<p class="hint">There is none.</p>` : html`<dl class="facts-list" data-testid="daemon-history">
        <div><dt>State</dt><dd><span class="badge ${history.degraded ? "bad" : history.ready ? "good" : "warn"}">${history.degraded ? "degraded" : history.ready ? "written" : "not open yet"}</span>${history.figures ? "" : " alerts and audit alone, in memory"}</dd></div>
        ${history.why ? html`<div><dt>Why</dt><dd>${history.why}</dd></div>` : null}
        <div><dt>Size</dt><dd>${format.bytes(history.bytes)} of ${format.bytes(history.size_bytes)} <meter min="0" max="1" value=${history.size_bytes ? history.bytes / history.size_bytes : 0} aria-label="Share of the history's size in use"></meter></dd></div>
        <div><dt>Rows</dt><dd>${format.exact(history.rows_written)} written, ${format.exact(history.rows_dropped)} dropped since the start</dd></div>
        <div><dt>Folder</dt><dd><code>${folder}</code></dd></div></dl>`}</section>`;
}

/** @param {{samples: Sample[], address: Address}} props */
function Requests({ samples, address }) {
    const now = /** @type {Sample} */ (samples.at(-1));
    const rows = useMemo(() => (now.figures.get("tallyd_http_requests_total")?.samples ?? []).map(({ labels, value }) => ({ ...labels, value,
        rate: samples.length > 1 ? rateOf(samples[0], now, "tallyd_http_requests_total", labels) : null })), [now]);
    /** @type {import("../rows.js").Column<any>[]} */
    const columns = [
        { id: "method", label: "Method", width: 6, value: (row) => row.method }, { id: "route", label: "Route", value: (row) => row.route },
        { id: "code", label: "Status", width: 6, value: (row) => Number(row.code), show: (row) => html`<span class="badge ${row.code[0] === "5" ? "bad" : row.code[0] === "4" ? "warn" : ""}">${row.code}</span>` },
        { id: "value", label: "Answers", number: true, width: 7, value: (row) => row.value, show: (row) => format.exact(row.value) },
        { id: "rate", label: "Now", help: "over the last quarter of a minute", number: true, width: 7, value: (row) => row.rate, show: (row) => row.rate === null ? "–" : `${row.rate && row.rate.toFixed(2)}/s` },
    ];
    return html`<section class="panel" aria-labelledby="requests-title"><h2 id="requests-title">Requests</h2>
        <${Table} id="requests" caption="answers by route and status" rows=${rows} columns=${columns} keyOf=${(/** @type {any} */ row) => `${row.method} ${row.route} ${row.code}`}
            address=${address} prefix="requests-" order="-value" textOf=${(/** @type {any} */ row) => `${row.method} ${row.route} ${row.code}`} /></section>`;
}

/** @param {{info: any}} props */
function Refused({ info }) {
    return info.refused?.length ? html`<section class="panel" aria-labelledby="refused-title"><h2 id="refused-title">Refused programs</h2>
        <table data-testid="daemon-refused"><thead><tr><th scope="col">Reason</th><th scope="col" class="number">How many</th><th scope="col">Last</th><th scope="col" class="number">Pid</th><th scope="col" class="number">User</th></tr></thead>
        <tbody>${info.refused.map((/** @type {any} */ row) => html`<tr key=${row.reason}><th scope="row">${row.reason}</th><td class="number">${format.exact(row.count)}</td>
            <td>${row.last_at ? `${format.age(Date.now() - Date.parse(row.last_at))} ago` : "–"}</td><td class="number">${row.last_pid}</td><td class="number">${row.last_uid}</td></tr>`)}</tbody></table></section>` : null;
}

/** @param {{info: any}} props */
function Identity({ info }) {
    const { sandbox = {} } = info;
    const yes = (/** @type {any} */ value) => value ? "yes" : "no";
    return html`<section class="panel" aria-labelledby="identity-title"><h2 id="identity-title">This tallyd</h2>
        <dl class="facts-list" data-testid="daemon-identity"><div><dt>Version</dt><dd>${info.version}, pid ${info.pid}, ${info.mode} mode, start ${info.start_id}</dd></div>
            <div><dt>Serves</dt><dd><code>${info.http}</code>, <code>${info.runtime_dir}/api.sock</code></dd></div>
            <div><dt>Supervisor</dt><dd>${info.service || "nobody"}</dd></div>
            <div><dt>Libraries</dt><dd>${Object.entries(info.libraries).map(([name, version]) => `${name} ${version}`).join(", ")}</dd></div>
            <div><dt>Limits</dt><dd>${Object.entries(info.limits).map(([name, value]) => `${name.replaceAll("_", " ")} ${format.exact(Number(value))}`).join(", ")}</dd></div>
            <div><dt>Given up</dt><dd>new privileges: ${yes(sandbox.no_new_privileges)}, memory for others: ${yes(sandbox.undumpable)}, other system calls: ${yes(sandbox.system_calls)}, other files: ${sandbox.landlock ? `Landlock ${sandbox.landlock}` : "no"}</dd></div></dl></section>`;
}

/** A secret is told once: it stands here until somebody puts it away. @param {{made: {name: string, token: string}, away: () => void}} props */
function Secret({ made, away }) {
    const copy = () => navigator.clipboard.writeText(made.token).then(() => announce("copied"), () => announce("this browser does not let the page copy"));
    return html`<div class="notice warn" data-testid="token-secret"><p>The token <strong>${made.name}</strong>, told this once:</p><p><code class="secret" tabindex="0">${made.token}</code></p>
        <p class="buttons"><button type="button" onClick=${copy}>Copy</button><button type="button" data-testid="token-away" onClick=${away}>Put it away</button></p></div>`;
}

/** @param {{store: Store, address: Address}} props */
function Tokens({ store, address }) {
    const [answer, tell] = useAnswer(store);
    const [made, setMade] = useState(/** @type {any} */ (null));
    const [form, setForm] = useState({ name: "", scope: "read", lifetime: "2592000" });
    const { data, problem, refresh } = useResource((signal) => api.get("/v1/tokens", signal), []);
    const set = (/** @type {any} */ { currentTarget: { name, value } }) => setForm((now) => ({ ...now, [name]: value }));
    const create = async (/** @type {Event} */ event) => {
        event.preventDefault();
        const body = { name: form.name, scope: form.scope, ...form.lifetime ? { expires_in_s: Number(form.lifetime) } : {} };
        const token = await tell(`Token ${form.name}`, () => api.ask("POST", "/v1/tokens", body), () => "made");
        if (token) {
            setMade(token);
            setForm((now) => ({ ...now, name: now.name === form.name ? "" : now.name })); /* what was typed meanwhile stays */
            refresh();
        }
    };
    const revoke = async (/** @type {string} */ name) => {
        if (await ask({ title: `Revoke the token ${name}?`, action: "Revoke", danger: true, text: "Whoever uses it is refused from now on, and its streams end." })) {
            await tell(`Revoke ${name}`, () => api.ask("DELETE", `/v1/tokens/${encodeURIComponent(name)}`), () => "it is good for nothing now");
            refresh();
        }
    };
    if (!data) {
        return problem ? html`<${Failed} problem=${problem} again=${refresh} />` : html`<${Loading} what="the tokens" />`;
    }
    const when = (/** @type {string|null} */ time, /** @type {string} */ otherwise) => time ? html`<time datetime=${time} title=${time}>${format.moment(time)}</time>` : otherwise;
    /** @type {import("../rows.js").Column<any>[]} */
    const columns = [
        { id: "name", label: "Name", value: (t) => t.name }, { id: "scopes", label: "May", value: (t) => t.scopes.join(", ") },
        { id: "created_at", label: "Made", width: 11, value: (t) => t.created_at, show: (t) => when(t.created_at, "–") },
        { id: "expires_at", label: "Good until", width: 11, value: (t) => t.expires_at, show: (t) => t.expired ? html`<span class="badge warn">expired</span>` : when(t.expires_at, "for ever") },
        { id: "used_at", label: "Used", width: 11, value: (t) => t.used_at, show: (t) => when(t.used_at, "not since the start") },
        { id: "revoke", label: "Revoke", width: 6, unsorted: true, value: () => "", show: (t) => html`<button type="button" class="small" onClick=${() => revoke(t.name)}>Revoke<span class="unseen"> ${t.name}</span></button>` },
    ];
    return html`${made ? html`<${Secret} made=${made} away=${() => setMade(null)} />` : null}
        <form class="filters" aria-label="A new token" onSubmit=${create}>
            <label>Name <input name="name" required maxlength="32" pattern="[A-Za-z0-9._\\-]+" autocomplete="off" data-testid="token-name" value=${form.name} onInput=${set} /></label>
            <label>May <select name="scope" data-testid="token-scope" value=${form.scope} onChange=${set}>${["read", "control", "admin"].map((scope) => html`<option key=${scope} value=${scope} selected=${scope === form.scope}>${scope}</option>`)}</select></label>
            <label>Good for <select name="lifetime" data-testid="token-lifetime" value=${form.lifetime} onChange=${set}>${LIFETIMES.map(([value, text]) => html`<option key=${value} value=${value} selected=${value === form.lifetime}>${text}</option>`)}</select></label>
            <button class="primary" data-testid="token-create">Make a token</button></form>
        <${AnswerLine} store=${store} answer=${answer} testid="token-answer" />
        <${Table} id="tokens" caption="named tokens" rows=${data.tokens} columns=${columns} keyOf=${(/** @type {any} */ t) => t.name} address=${address} prefix="tokens-" order="+name"
            attributesOf=${(/** @type {any} */ t) => ({ "data-name": t.name })} empty=${html`<p class="hint" data-testid="tokens-none">There are no named tokens.</p>`} />
        <p class="hint">${format.plural(data.sessions, "session")} of this page ${data.sessions === 1 ? "is" : "are"} open.</p>`;
}

/** @param {import("../views.js").Given} given */
function Body({ store, address }) {
    const first = useRef(true);
    const { data, problem, refresh } = useResource(sample, [], { every: () => first.current ? (first.current = false, SOON_MS) : EVERY_MS });
    const { samples, courses } = useSamples(data);
    if (!data) {
        return problem ? html`<${Failed} problem=${problem} again=${refresh} />` : html`<${Loading} what="tallyd's own figures" />`;
    }
    const off = refusal(store, "admin");
    return html`${problem ? html`<${Failed} problem=${problem} again=${refresh} />` : null}
        ${problem ? html`<p class="hint" data-testid="daemon-stale">What follows was so when tallyd answered last.</p>` : html`<${Health} found=${findings(data.info, data.figures)} />`}
        <${Figures} samples=${samples} courses=${courses} />
        <div class="ops-columns"><${Threads} samples=${samples} /><${History} info=${data.info} /></div>
        <${Refused} info=${data.info} />
        <${Requests} samples=${samples} address=${address} />
        <${Identity} info=${data.info} />
        <section class="panel" aria-labelledby="tokens-title"><h2 id="tokens-title">Tokens</h2>
            ${off ? html`<p class="hint" data-testid="tokens-off">${off}. In a terminal where tallyd runs: <code>tallyctl token create NAME</code>, <code>list</code>, <code>revoke NAME</code>.</p>`
                : html`<${Tokens} store=${store} address=${address} />`}</section>`;
}

/** @type {import("../views.js").View} */
export default { title: "Daemon health", needsProcess: false, topics: () => [], Body };
