/* The address bar holds the page's whole state: `#view=types&process=ID&sort=-live_bytes`. This module alone reads
 * and writes it, so a reload or a shared link gives the same page. An Address never changes; views get the present one. */

const LOGIN = "login";

/** @typedef {Record<string, string|number|null>} Changes null, or the empty text, takes a key out */

export class Address {
    /** @param {string} hash what stands behind the #, with or without it */
    constructor(hash) {
        this.values = new URLSearchParams(hash.replace(/^#/, ""));
    }

    get process() {
        return this.get("process");
    }

    /** A link that names only a process means its overview. */
    get view() {
        return this.get("view", this.process ? "process" : "fleet");
    }

    /** @param {string} key @param {string} [otherwise] */
    get(key, otherwise = "") {
        return this.values.get(key) ?? otherwise;
    }

    /** @param {string} key @param {number} otherwise where there is no such key, or it is no number */
    number(key, otherwise) {
        const value = Number(this.get(key, "x"));
        return Number.isFinite(value) ? value : otherwise;
    }

    /** The same view with other keys, as a link. @param {Changes} changes */
    with(changes) {
        return `#${written(this.values, changes)}`;
    }

    /** Another view of the same process, as a link; keys of this view do not go along. @param {string} view @param {Changes} [changes] */
    to(view, changes = {}) {
        return `#${written(new URLSearchParams(), { view, process: this.process, ...changes })}`;
    }

    toString() {
        return this.values.toString();
    }
}

/** @param {URLSearchParams} values @param {Changes} changes */
function written(values, changes) {
    const next = new URLSearchParams(values);
    for (const [key, value] of Object.entries(changes)) {
        value === null || value === "" ? next.delete(key) : next.set(key, String(value));
    }
    return next.toString();
}

/** The address as it stands. */
export const present = () => new Address(location.hash);

/** @type {Set<(address: Address) => void>} */
const listeners = new Set();
const tell = () => listeners.forEach((listener) => listener(present()));

/** Hears of every change, whoever made it; gives what ends that. @param {(address: Address) => void} listener */
export function follow(listener) {
    listeners.add(listener);
    return () => listeners.delete(listener);
}

/** Changes keys of the present view. What is typed or dragged replaces the address; what a reader may want to take back
 * makes a step of its own. @param {Changes} changes @param {{step?: boolean}} [how] */
export function change(changes, { step = false } = {}) {
    go(present().with(changes), { step });
}

/** Goes to a link that an Address gave. @param {string} link @param {{step?: boolean}} [how] */
export function go(link, { step = true } = {}) {
    if (link !== location.hash) {
        step ? history.pushState(null, "", link) : history.replaceState(null, "", link);
        tell();
    }
}

/** Takes a login link's code out of the address, at once: null where there is none. */
export function takeLogin() {
    const address = present();
    const code = address.values.get(LOGIN);
    if (code !== null) {
        const rest = address.with({ [LOGIN]: null });
        history.replaceState(null, "", rest === "#" ? location.pathname : rest);
    }
    return code;
}

globalThis.addEventListener?.("hashchange", tell);
