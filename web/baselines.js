/* Baselines: the figures of a moment, kept in tallyd, to compare with. Making one costs the program nothing. */

import { html } from "./vendor/htm-preact.js";
import * as api from "./api.js";
import * as format from "./format.js";
import { AnswerLine, useAnswer } from "./operation.js";
import { useResource } from "./resource.js";
import { refusal } from "./states.js";

/** @typedef {import("./store.js").Store} Store */
/** @typedef {{id: string, process?: string, taken_at: string, live_objects: number, live_bytes: number, type_count: number}} Baseline */

const EVERY_MS = 5000;

/** Those of a process, the newest first. @param {string} id */
export const useBaselines = (id) => useResource(async (signal) =>
    /** @type {Baseline[]} */ ((await api.get(`${api.one(id)}/baselines`, signal)).baselines.sort((/** @type {Baseline} */ a, /** @type {Baseline} */ b) => b.taken_at.localeCompare(a.taken_at))),
[id], { every: EVERY_MS });

/** @param {Baseline} baseline */
export const baselineText = ({ taken_at, live_objects, live_bytes }) => `${format.moment(taken_at)}: ${format.bytes(live_bytes)}, ${format.plural(live_objects, "object")}`;

/** Keeps the figures of now. @param {{store: Store, id: string, made: (id: string) => void}} props */
export function MakeBaseline({ store, id, made }) {
    const [answer, ask] = useAnswer(store);
    const why = refusal(store, "control");
    const gone = store.summary?.state === "gone";
    const make = async () => {
        const operation = await ask("Baseline", () => api.ask("POST", `${api.one(id)}/baseline?wait=5s`, {}));
        if (operation?.state === "succeeded") {
            made(operation.result?.baseline ?? "");
        }
    };
    return html`<span class="together"><button type="button" data-testid="make-baseline" disabled=${Boolean(why) || gone} title=${why || (gone ? "The process has ended" : "Keeps the figures of now, to compare with")}
            onClick=${make}>Set baseline</button><${AnswerLine} store=${store} answer=${answer} testid="baseline-answer" /></span>`;
}
