/* What looks like a leak, from exact counters and with no dump: what keeps growing, who has to reclaim it, what the collector
 * looks at in vain, and what holds objects from outside. Each comes with what to do next. */

import { html, useMemo } from "../vendor/htm-preact.js";
import { change } from "../address.js";
import * as api from "../api.js";
import { Facts, Next, Spark, Stacked, share } from "../drawings.js";
import * as format from "../format.js";
import { AnswerLine, useAnswer } from "../operation.js";
import { useResource } from "../resource.js";
import { filtered } from "../rows.js";
import { Empty, Failed, Loading, refusal } from "../states.js";

/** @typedef {import("../findings").Suspects} Suspects */
/** @typedef {import("../findings").Growing} Growing */
/** @typedef {import("../findings").Artifact} Artifact */
/** @typedef {import("../address.js").Address} Address */

const EVERY_MS = 5000;
const SNAPSHOT_EVERY_MS = 15_000;
const COMING_EVERY_MS = 1000;
const RECLAIMED_SHOWN = 12;
/** Before that no growth is told from a beginning. */
const SOONEST_S = 60;
/** @type {Record<string, string>} */
const ADVICE = { weak: "Make a reference weak", acyclic: "Declare the type acyclic", immortal: "Make them immortal", freeze: "Freeze them" };

/** Words for a number that pretends to more than it knows. @param {number} confidence */
const confidenceWord = (confidence) => confidence >= 0.85 ? "very likely" : confidence >= 0.5 ? "likely" : "too early to say";

/** @param {string} text */
const sentence = (text) => `${text.charAt(0).toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? "" : "."}`;

/** To the objects of a type in a snapshot, or to where one is taken for that. @param {{address: Address, artifact: Artifact|null, type?: string, children?: import("../vendor/htm-preact.js").Child}} props */
const WhoHolds = ({ address, artifact, type, children }) => html`<a data-testid="next-objects" href=${artifact ? address.to("snapshots", { artifact: artifact.id, ...type ? { tab: "objects", type } : {} }) : address.to("snapshots", type ? { type } : {})}>${artifact
    ? html`${children} <small>snapshot of ${format.moment(artifact.taken_at)}</small>` : "Take a snapshot to see who holds them"}</a>`;

/** @param {{row: Growing, address: Address, artifact: Artifact|null}} props */
function GrowingCard({ row, address, artifact }) {
    return html`<li class="card" data-testid="growing" data-type=${row.type}>
        <div class="card-head"><h3><a href=${address.to("types", { type: row.type })}>${row.type}</a></h3>
            <span class="badge ${row.confidence >= 0.5 ? "warn" : ""}" data-testid="confidence" title="How sure it is that this goes on for ever">${confidenceWord(row.confidence)}, ${share(row.confidence * 100)}</span>
            <${Spark} values=${row.live_bytes_then} floats name="The least that lived of ${row.type} in each of the last ${row.live_bytes_then.length} windows" /></div>
        <${Facts} facts=${[
            ["grows by", html`<strong>${format.bytes(row.slope_bytes_per_hour)}</strong> an hour`],
            ["alive", html`${format.bytes(row.live_bytes)} <small>${format.plural(row.live_objects, "object")}</small>`],
        ]} />
        <p class="said" data-testid="because">${sentence(row.reason)}</p>
        <${Next}><${WhoHolds} address=${address} artifact=${artifact} type=${row.type}>Who holds them<//>
            <a href=${address.to("cycles", { filter: row.type })} data-testid="next-cycles">Its cycles</a>
            <a href=${address.to("compare")} data-testid="next-compare">Compare with a baseline</a>
        <//></li>`;
}

/** What all of it comes to, and the next step. @param {{rows: readonly Growing[], address: Address, artifact: Artifact|null}} props */
function Verdict({ rows, address, artifact }) {
    const sure = rows.filter(({ confidence }) => confidence >= 0.5);
    const slope = sure.reduce((sum, row) => sum + row.slope_bytes_per_hour, 0);
    const early = rows.length - sure.length;
    return html`<div class="sum-up" data-testid="verdict"><p class="said">${sure.length
        ? html`<strong>${sure.length === 1 ? `${sure[0].type} grows` : `${sure.length} types grow`}</strong> by ${format.bytes(slope)} an hour${sure.length > 1 ? html`, most of it <strong>${sure.reduce((most, row) => row.slope_bytes_per_hour > most.slope_bytes_per_hour ? row : most).type}</strong>. Types that grow at one pace mostly hang on one object: find that, not the types` : ""}.${early ? ` Of ${format.plural(early, "other")} it is too early to say.` : ""}`
        : html`<strong>Too early to say.</strong> What grows below may still turn: a cache that fills, a start. It takes about two minutes of growth to be likely.`}</p>
        ${sure.length ? html`<${Next}><${WhoHolds} address=${address} artifact=${artifact}>What holds the most<//>
            ${artifact ? html`<a href=${address.to("snapshots")} data-testid="next-snapshot">Take a newer snapshot</a>` : null}<//>` : null}</div>`;
}

/** @param {{title: string, testid: string, about: import("../vendor/htm-preact.js").Child, children?: import("../vendor/htm-preact.js").Child}} props */
const Section = ({ title, testid, about, children }) => html`<section class="panel finding" data-testid=${testid} aria-labelledby="${testid}-title">
    <h2 id="${testid}-title">${title}</h2><p class="about">${about}</p>${children}</section>`;

/** @param {{rows: Suspects["reclaimed"], address: Address, whole: boolean}} props */
function Reclaimed({ rows, address, whole }) {
    const most = rows.reduce((max, row) => Math.max(max, row.by_refcount + row.by_cycle), 1);
    const shown = whole ? rows : rows.slice(0, RECLAIMED_SHOWN);
    const [first] = [...rows].sort((a, b) => b.share_of_collected - a.share_of_collected);
    return html`${first?.by_cycle ? html`<p class="said" data-testid="reclaimed-said"><strong>${share(first.share_of_collected * 100)} of what the cycle collector frees is <a href=${address.to("cycles", { filter: first.type })}>${first.type}</a></strong>${first.cycle?.weaken
            ? html`: make <code>${first.cycle.weaken.edge}</code> weak, and they go at once.` : ", more than of any other type."}</p>` : null}
        <div class="scroll" tabindex="0" role="group" aria-label="Who reclaims what"><table class="ledger"><thead><tr><th scope="col">Type</th><th scope="col" class="wide-head">Freed by count and by cycle</th><th scope="col" class="number">Of its own, by cycles</th><th scope="col" class="number">Of all that is collected</th><th scope="col">Its cycle</th></tr></thead>
        <tbody>${shown.map((row) => html`<tr key=${row.type} data-type=${row.type}><th scope="row"><a href=${address.to("types", { type: row.type })}>${row.type}</a></th>
            <td class="bar-cell"><${Stacked} total=${most} parts=${[{ label: "count", value: row.by_refcount, tone: "by-count", text: format.count(row.by_refcount) },
                { label: "cycle", value: row.by_cycle, tone: "by-cycle", text: format.count(row.by_cycle) }]} /></td>
            <td class="number">${share(row.share * 100)}</td><td class="number">${share(row.share_of_collected * 100)}</td>
            <td>${row.cycle ? html`<a href=${address.to("cycles", { filter: row.type })} title=${row.cycle.shape}>${row.cycle.weaken ? html`weaken <code>${row.cycle.weaken.edge}</code>` : "see it"}</a>` : html`<a href=${address.to("cycles", { filter: row.type })}>look for it<span class="unseen"> of ${row.type}</span></a>`}</td></tr>`)}</tbody></table></div>
        ${shown.length < rows.length ? html`<button type="button" class="small" data-testid="all-reclaimed" onClick=${() => change({ all: 1 })}>All ${rows.length} types</button>` : null}`;
}

/** @param {{rows: NonNullable<Suspects["always_alive"]>, address: Address}} props */
const AlwaysAlive = ({ rows, address }) => html`<div class="scroll" tabindex="0" role="group" aria-label="Candidates that are always alive"><table class="ledger"><thead><tr><th scope="col">Type</th><th scope="col" class="number">Looked at</th>
        <th scope="col" class="number">Alive</th><th scope="col">What to do</th></tr></thead>
    <tbody>${rows.map((row) => html`<tr key="${row.heap} ${row.type}" data-type=${row.type}><th scope="row"><a href=${address.to("types", { type: row.type })}>${row.type}</a></th><td class="number">${format.count(row.candidates)}</td>
        <td class="number">${share(row.candidates ? row.survived / row.candidates * 100 : null)}</td><td class="wide"><strong>${ADVICE[row.advice.do] ?? row.advice.do}</strong>: ${row.advice.reason}</td></tr>`)}</tbody></table></div>`;

/** @param {{rows: NonNullable<Suspects["external"]>, address: Address}} props */
const External = ({ rows, address }) => html`<div class="scroll" tabindex="0" role="group" aria-label="Unexplained external references"><table class="ledger"><thead><tr><th scope="col">Type</th><th scope="col" class="number">References</th>
        <th scope="col" class="number">Objects held</th><th scope="col" class="number">What they keep alive</th></tr></thead>
    <tbody>${rows.map((row) => html`<tr key="${row.heap} ${row.type}" data-type=${row.type}><th scope="row"><a href=${address.to("snapshots", { artifact: row.artifact, tab: "objects", type: row.type, sort: "external" })}>${row.type}</a></th>
        <td class="number">${format.count(row.references)}</td><td class="number">${format.count(row.roots)}</td><td class="number">${format.bytes(row.retained_bytes)}</td></tr>`)}</tbody></table></div>`;

/** Asks the program for its candidates, which costs it a moment. @param {{store: import("../store.js").Store, id: string, done: () => void}} props */
function AskCandidates({ store, id, done }) {
    const [answer, ask] = useAnswer(store);
    const why = store.summary?.state === "gone" ? "The process has ended" : refusal(store, "control");
    const look = async () => {
        await ask("Candidates", () => api.get(`${api.one(id)}/candidates`), () => "read");
        done();
    };
    return html`<span class="together"><button type="button" data-testid="ask-candidates" disabled=${Boolean(why)} title=${why || "Costs the program a pause of 10 ms at most"} onClick=${look}>Ask the program for its candidates</button>
        ${why ? html`<span class="remark">${why}</span>` : null}<${AnswerLine} store=${store} answer=${answer} testid="candidates-answer" /></span>`;
}

/** What was looked at, and for how long. @param {{data: Suspects}} props */
function LookedAt({ data }) {
    const { watched_s, types_left_out, detail } = data.completeness.growing;
    return html`<p class="remark" data-testid="looked-at">${watched_s === undefined ? "" : `Watched for ${format.duration(watched_s * 1e9)}. `}${types_left_out ? `${format.plural(types_left_out, "type")} beyond those that are watched. ` : ""}${detail ? sentence(detail) : ""}</p>`;
}

/** @param {import("../views.js").Given} given */
function Body({ store, address }) {
    const id = address.process;
    const answer = useResource((signal) => /** @type {Promise<Suspects>} */ (api.get(`${api.one(id)}/suspects`, signal)), [id], { every: EVERY_MS });
    const snapshots = useResource((signal) => api.get(`/v1/artifacts?process=${encodeURIComponent(id)}&limit=20`, signal), [id], { every: ({ artifacts }) => artifacts.some((/** @type {Artifact} */ { state }) => state === "receiving" || state === "analysing") ? COMING_EVERY_MS : SNAPSHOT_EVERY_MS });
    const artifact = /** @type {Artifact|null} */ (snapshots.data?.artifacts.find((/** @type {Artifact} */ one) => one.state === "ready") ?? null);
    const filter = address.get("filter");
    const found = useMemo(() => {
        const fits = (/** @type {readonly any[]} */ rows) => filtered(rows, filter, ({ type }) => type ?? "");
        const { growing = [], reclaimed = [], always_alive, external } = answer.data ?? {};
        return { growing: fits(growing), reclaimed: fits(reclaimed), always_alive: fits(always_alive ?? []), external: fits(external ?? []) };
    }, [answer.data, filter]);
    if (!answer.data) {
        return answer.problem ? html`<${Failed} problem=${answer.problem} again=${answer.refresh} />` : html`<${Loading} what="what is suspected" />`;
    }
    const nothing = filter ? html`<p class="hint">None matches “${filter}”.</p>` : null;
    return html`${answer.problem ? html`<${Failed} problem=${answer.problem} again=${answer.refresh} />` : null}
        <div class="view-tools"><input type="search" class="filter" placeholder="Filter by type" aria-label="Filter by type" data-testid="suspects-filter" value=${filter}
            onInput=${(/** @type {any} */ event) => change({ filter: event.target.value })} /><${LookedAt} data=${answer.data} /></div>
        <${Section} title="Types that keep growing" testid="growing-section" about="The fewest that are alive in a stretch of time are more in every next one: so it is neither what comes and goes, nor garbage that waits for the collector.">
            ${found.growing.length ? html`<${Verdict} rows=${found.growing} address=${address} artifact=${artifact} /><ul class="cards">${found.growing.map((row) => html`<${GrowingCard} key=${row.type} row=${row} address=${address} artifact=${artifact} />`)}</ul>`
                : nothing ?? html`<${Empty} title=${(answer.data.completeness.growing.watched_s ?? 0) < SOONEST_S ? "Too early to say" : "Nothing keeps growing"} testid="growing-empty"><${LookedAt} data=${answer.data} /><p>A type is suspected here when the fewest that are alive of it rise from one stretch of time to the next, as long as this tallyd watches it. Slow leaks need longer: come back, or <a href=${address.to("rules", { process: null })}>let a rule watch</a>.</p>
                    <p>Set a <a href=${address.to("compare")}>baseline</a> now to see later what has grown since.</p><//>`}<//>
        <${Section} title="Who frees it: counts, or the cycle collector" testid="reclaimed-section" about="An object goes at once when the last reference to it goes. In a cycle (a parent holds its child, the child its parent) that never happens: it waits for the cycle collector, whose work is the pauses. A weak reference breaks a cycle.">
            ${found.reclaimed.length ? html`<${Reclaimed} rows=${found.reclaimed} address=${address} whole=${Boolean(filter) || address.get("all") !== ""} />` : nothing ?? html`<p class="hint">Nothing has been freed yet.</p>`}<//>
        <${Section} title="Candidates that are always alive" testid="always-section" about="A candidate is an object that has lost a reference but is not dead yet: the collector has to look whether only a cycle holds it. Of the types here nearly all turn out to be alive, each time: pauses for nothing.">
            ${found.always_alive.length ? html`<${AlwaysAlive} rows=${found.always_alive} address=${address} />` : nothing ?? html`<p class="hint">${answer.data.always_alive ? "No type is examined in vain." : "Not known yet: the program tells when it is asked."}</p>`}
            <${AskCandidates} store=${store} id=${id} done=${answer.refresh} />${answer.data.completeness.always_alive.as_of ? html` <span class="remark">as of ${format.moment(answer.data.completeness.always_alive.as_of)}</span>` : null}<//>
        <${Section} title="References from outside that nothing explains" testid="external-section" about="Their counts are higher than the references that were found to them: something holds them that is no object, root, pin or handle. Locals of the program at that moment, or a tally_decref() that is missing in C code: those stay, snapshot after snapshot.">
            ${found.external.length ? html`<${External} rows=${found.external} address=${address} />`
                : nothing ?? html`<p class="hint">${answer.data.external ? "The newest snapshot has none." : html`Not known: a <a href=${address.to("snapshots")}>snapshot</a> compares every count with the references that there are.`}</p>`}<//>`;
}

/** @type {import("../views.js").View} */
export default { title: "Suspects", needsProcess: true, topics: (address) => address.process ? [`stats:${address.process}`] : [], Body };
