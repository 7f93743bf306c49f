/* Dark or light: as the system has it, or as somebody chose here, which this browser remembers. The style sheet goes by
 * the root's data-theme, and whoever draws by hand asks for the colours again when it changes. */

const KEPT = "tally.theme";
export const CHOICES = /** @type {const} */ (["system", "light", "dark"]);
/** @typedef {typeof CHOICES[number]} Choice */

const dark = matchMedia("(prefers-color-scheme: dark)");
/** @type {Set<() => void>} */
const listeners = new Set();

/** Storage may be forbidden; then the choice lasts as long as the page. */
function kept() {
    try {
        return localStorage.getItem(KEPT);
    } catch {
        return null;
    }
}

let choice = /** @type {Choice} */ (CHOICES.find((one) => one === kept()) ?? "system");

function apply() {
    const shown = choice === "system" ? dark.matches ? "dark" : "light" : choice;
    if (document.documentElement.dataset.theme !== shown) {
        document.documentElement.dataset.theme = shown;
        listeners.forEach((listener) => listener());
    }
}

export const theme = () => choice;

/** @param {Choice} next */
export function setTheme(next) {
    choice = next;
    try {
        localStorage.setItem(KEPT, next);
    } catch { /* then not */ }
    apply();
}

/** Calls back when the colours have changed; gives what ends that. @param {() => void} listener */
export function onTheme(listener) {
    listeners.add(listener);
    return () => listeners.delete(listener);
}

dark.addEventListener("change", apply);
apply();
