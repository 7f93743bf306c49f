/* What a view reads from tallyd by asking: at once, every so often, and again when the tab is looked at. A hidden tab and
 * a view that was left ask nothing; what was under way is broken off. */

import { useCallback, useEffect, useRef, useState } from "./vendor/htm-preact.js";

const RETRY_MS = 3000;

/** @template T
 * @typedef {{data: T|null, problem: import("./api.js").Problem|null, loading: boolean, at: number, refresh: () => void}} Resource
 * data     the newest answer, kept while later ones fail
 * problem  why the last asking failed
 * at       when data came, ms since 1970 */

const NOTHING = { data: null, problem: null, loading: true, at: 0, turn: 0 };

/** Another `deps` is another thing: its data begins anew, in the very drawing that asks for it. @template T
 * @param {(signal: AbortSignal) => Promise<T>} load @param {unknown[]} deps
 * @param {{every?: number | ((data: T) => number)}} [how] every: ms between answers; 0: that was the last
 * @returns {Resource<T>} */
export function useResource(load, deps, { every = 0 } = {}) {
    const [state, setState] = useState(/** @type {Omit<Resource<T>, "refresh"> & {turn: number}} */ (NOTHING));
    const asked = useRef({ deps, turn: 0 });
    if (deps.some((dep, n) => dep !== asked.current.deps[n])) {
        asked.current = { deps, turn: asked.current.turn + 1 };
    }
    const { turn } = asked.current;
    const latest = useRef({ load, every });
    const again = useRef(() => {});
    latest.current = { load, every };
    useEffect(() => {
        let timer = /** @type {ReturnType<typeof setTimeout>|undefined} */ (undefined);
        let run = new AbortController();
        const ask = async () => {
            clearTimeout(timer);
            run.abort();
            if (document.hidden) {
                return;
            }
            const { signal } = run = new AbortController();
            setState((old) => ({ ...old, loading: true }));
            let wait = typeof latest.current.every === "number" ? latest.current.every : RETRY_MS;
            try {
                const data = await latest.current.load(signal);
                if (!signal.aborted) {
                    const { every: next } = latest.current;
                    wait = typeof next === "function" ? next(data) : next;
                    setState({ data, problem: null, loading: false, at: Date.now(), turn });
                }
            } catch (error) {
                const problem = /** @type {import("./api.js").Problem} */ (error);
                wait = problem.status ? wait : RETRY_MS;
                if (!signal.aborted) {
                    setState((old) => ({ ...old, problem, loading: false }));
                }
            }
            if (wait && !signal.aborted) {
                timer = setTimeout(ask, wait);
            }
        };
        setState({ ...NOTHING, turn });
        again.current = ask;
        document.addEventListener("visibilitychange", ask);
        ask();
        return () => {
            clearTimeout(timer);
            run.abort();
            document.removeEventListener("visibilitychange", ask);
        };
    }, deps);
    return { ...state.turn === turn ? state : NOTHING, refresh: useCallback(() => again.current(), []) };
}
