/* A field whose text counts once somebody has finished with it: with Enter, or on leaving it. What is being typed outlives
 * the page's drawing meanwhile; Escape takes it back. */

import { html, useState } from "./vendor/htm-preact.js";

/** @param {Record<string, any> & {value: string, done: (value: string) => void}} props the others are the input's own */
export function LateInput({ value, done, ...props }) {
    const [draft, set] = useState(/** @type {string|null} */ (null));
    const end = (/** @type {any} */ { currentTarget: input }) => {
        set(null);
        if (input.validity.valid && input.value.trim() !== value) {
            done(input.value.trim());
        }
    };
    return html`<input ...${props} value=${draft ?? value} onInput=${(/** @type {any} */ event) => set(event.currentTarget.value)} onChange=${end} onBlur=${end}
        onKeyDown=${(/** @type {KeyboardEvent} */ event) => event.key === "Enter" ? end(event) : event.key === "Escape" ? set(null) : undefined} />`;
}
