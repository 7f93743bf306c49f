/* What was asked of tallyd, and what has become of it: an operation is followed until it is done, failed or expired. */

import { html, useRef, useState } from "./vendor/htm-preact.js";
import { announce } from "./announce.js";
import * as api from "./api.js";
import * as format from "./format.js";

const ENDED = new Set(["succeeded", "failed", "cancelled", "expired"]);
/** The stream tells sooner; this is for when it does not. */
const POLL_MS = 250;

/** @typedef {import("./store.js").Store} Store */
/** @typedef {import("./types").Operation} Operation */
/** @typedef {import("./types").Answer} Answer */

/** @param {Operation} operation */
export const ended = (operation) => ENDED.has(operation.state);

/** @param {Operation} operation @returns {"busy"|"good"|"bad"} */
export const toneOf = (operation) => !ended(operation) ? "busy" : operation.state === "succeeded" ? "good" : "bad";

/** Waits until the operation has ended, and keeps the store up to date. @param {Store} store @param {Operation} operation
 * @param {(operation: Operation) => void} [told] of every state, the last one too @returns {Promise<Operation>} */
async function followOperation(store, operation, told) {
    for (;;) {
        store.setOperation(operation);
        told?.(operation);
        if (ended(operation)) {
            return operation;
        }
        await new Promise((resolve) => setTimeout(resolve, POLL_MS));
        operation = await api.operation(operation.id);
    }
}

/** The last thing that a view asked, and how to ask the next. `ask(asked, request, text)`: `request` gives an Operation,
 * which is followed, or anything else, which `text` puts in words; its last answer, or null where it was refused.
 * @param {Store} store
 * @returns {[Answer|null, (asked: string, request: () => Promise<any>, text?: (answer: any) => string) => Promise<any>]} */
export function useAnswer(store) {
    const [answer, setAnswer] = useState(/** @type {Answer|null} */ (null));
    const ticket = useRef(0);
    const ask = async (/** @type {string} */ asked, /** @type {() => Promise<any>} */ request, text = (/** @type {any} */ _) => "done") => {
        const mine = ++ticket.current;
        const show = (/** @type {"busy"|"good"|"bad"} */ tone, /** @type {string} */ words, /** @type {string|null} */ operation = null) => {
            if (mine === ticket.current) {
                setAnswer({ asked, tone, text: words, operation });
                if (tone !== "busy") {
                    announce(`${asked}: ${words}`);
                }
            }
        };
        show("busy", "asked");
        try {
            let last = await request();
            if (last?.kind && last.state) { /* an operation */
                last = await followOperation(store, last, (operation) => show(toneOf(operation), format.operationText(operation), operation.id));
            } else {
                show("good", text(last));
            }
            return last;
        } catch (error) {
            show("bad", error instanceof Error ? error.message : String(error));
            return null;
        }
    };
    return [answer, ask];
}

/** Time left until an operation can no longer take effect. @param {{operation: Operation}} props */
export function Deadline({ operation }) {
    const spent = Date.now() - Date.parse(operation.created_at);
    return html`<progress max=${operation.deadline_ms} value=${Math.min(spent, operation.deadline_ms)}
        aria-label="Time until the deadline"></progress>
        <button type="button" class="small" data-testid="cancel" onClick=${() => api.cancel(operation.id).catch(() => undefined)}>Cancel</button>`;
}

/** Shows what useAnswer() gave. @param {{store: Store, answer: Answer|null, testid?: string}} props */
export function AnswerLine({ store, answer, testid = "answer" }) {
    const operation = answer?.operation ? store.operations.get(answer.operation) : undefined;
    const tone = operation ? toneOf(operation) : answer?.tone;
    return html`<p class="answer ${tone ?? ""}" data-testid=${testid} data-tone=${tone ?? "none"}>
        ${answer ? html`<strong>${answer.asked}:</strong> <span>${operation ? format.operationText(operation) : answer.text}</span>` : null}
        ${operation && tone === "busy" ? html`<${Deadline} operation=${operation} />` : null}
    </p>`;
}
