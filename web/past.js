/* What a view shows of the past: figures (a Track) and collections (a Pool) of the chosen process or heap, read from
 * history where the stream does not reach, and kept while the tab is open: coming back to a process loses nothing. */

import { useEffect, useRef } from "./vendor/htm-preact.js";
import * as api from "./api.js";
import { historyQuery, refreshMs, windowOf } from "./ranges.js";
import { reasonOf } from "./reasons.js";
import { useResource } from "./resource.js";
import { SERIES, Track } from "./track.js";

const KEPT_SUBJECTS = 4;
const PAGE = 1000;
const PAGES_MOST = 10;
const POOL_MOST = 12_000;
const MARKS_MOST = 600;
/** Windows beside the one that is shown. */
const REACH = 3;
const OLD_VIEW_S = 1;

/** @typedef {import("./store.js").Store} Store @typedef {import("./types").Collection} Collection */
/** @typedef {import("./charts.js").Mark & {collection: Collection}} Mark @typedef {import("./ranges.js").Window} Window */

/** Collections that were heard of, by heap and sequence. */
export class Pool {
    constructor() {
        this.marks = /** @type {Map<string, Mark>} */ (new Map());
        this.taken = /** @type {Collection[]|null} */ (null);
        this.next = 2 * PAGE; /* so many, and they are looked through */
        this.ordered = /** @type {Mark[]|null} */ (null); /* newest first, made when asked for */
    }

    /** @param {Collection[]} collections */
    add(collections) {
        if (collections === this.taken) {
            return;
        }
        this.taken = collections;
        for (const collection of collections) {
            const key = `${collection.heap}/${collection.sequence}`;
            if (!this.marks.has(key)) {
                this.ordered = null;
                this.marks.set(key, { key, t: Date.parse(collection.started_at) / 1000, reason: collection.reason, generation: collection.generation,
                    pause_ns: collection.pause_ns, collected: collection.collected, freed_bytes: collection.freed_bytes, collection });
            }
        }
    }

    /** Forgets what is farthest from the window where there is too much, or a few windows away from it: a page that is
     * open all day keeps what it shows. @param {{from: number, to: number}} window */
    bound({ from, to }) {
        if (this.marks.size > this.next) {
            const far = (/** @type {Mark} */ { t }) => Math.max(from - t, t - to, 0);
            const order = [...this.marks.values()].sort((a, b) => far(a) - far(b) || b.t - a.t);
            order.filter((mark, i) => i >= POOL_MOST - PAGE || (i >= PAGE && far(mark) > REACH * (to - from))).forEach(({ key }) => this.marks.delete(key));
            this.next = this.marks.size + PAGE;
            this.ordered = null;
        }
    }

    /** Newest first. @param {(mark: Mark) => boolean} fits */
    list(fits) {
        this.ordered ??= [...this.marks.values()].sort((a, b) => b.t - a.t || b.collection.sequence - a.collection.sequence);
        return this.ordered.filter(fits);
    }
}

/** @type {Map<string, Track>} */
const tracks = new Map();
/** @type {Map<string, Pool>} */
const pools = new Map();

/** The one of this name, made where there is none; the least recently asked for goes. @template T
 * @param {Map<string, T>} all @param {string} name @param {() => T} make */
function kept(all, name, make) {
    const one = all.get(name) ?? make();
    all.delete(name);
    all.set(name, one);
    for (const key of all.keys()) {
        if (all.size <= KEPT_SUBJECTS) {
            break;
        }
        all.delete(key);
    }
    return one;
}

/** The figures of one heap, or of all. @param {import("./types").Stats} stats @param {number} heap */
export const figuresOf = (stats, heap) => heap ? stats.heaps.find(({ n }) => n === heap) ?? null : stats;

/** The time that a view ends at: now, or when the process ended. @param {Store} store */
export const endOf = (store) => store.summary?.state === "gone" && store.summary.gone_at ? Date.parse(store.summary.gone_at) / 1000 + 0.5
    : Number.isFinite(store.monoAhead) ? store.daemonSeconds() : Date.now() / 1000;

/** What the address asks to see of the chosen process. @param {Store} store @param {import("./ranges.js").Asked} asked */
export const windowFor = (store, asked) => windowOf(asked, endOf(store), endOf(store) - Date.parse(store.summary?.attached_at ?? "") / 1000);

/** Takes what the store has learned of the process since the last time. @param {Track & {fedAt?: number, fedSeq?: number}} track @param {Store} store @param {number} heap */
function feed(track, store, heap) {
    const { stats } = store;
    if (store.link.state === "offline") {
        track.gap();
    }
    const fed = store.freshAt === track.fedAt && stats && stats.seq <= (track.fedSeq ?? -1); /* several come within a tick of the clock */
    if (!stats || stats.state !== "live" || fed) {
        return;
    }
    const seconds = store.axis(stats.as_of_mono_ns);
    const now = store.daemonSeconds();
    const news = stats.seq !== track.fedSeq;
    track.fedAt = store.freshAt;
    track.fedSeq = stats.seq;
    /* The same view again, or an old one, says that nothing has changed until now; but not one of a row of them that a busy
     * page takes late. */
    const inTime = now - seconds < OLD_VIEW_S || (seconds > track.newest && seconds - track.newest < OLD_VIEW_S);
    const figures = figuresOf(stats, heap);
    figures && track.push(news && inTime ? seconds : now, figures);
}

/** The figures of the window. @param {Store} store @param {number} heap 0: all @param {Window} window */
export function useTrack(store, heap, window) {
    const id = store.chosen;
    const track = kept(tracks, `${id}/${heap}`, () => new Track());
    feed(track, store, heap);
    useEffect(() => {
        const ends = [store.listen("stats", () => feed(track, store, heap)), store.listen("gap", () => track.gap())];
        return () => ends.forEach((end) => end());
    }, [track]);
    const asked = useRef(window);
    asked.current = window;
    const which = window.held ? `${window.from}/${window.to}` : window.range.name;
    const answer = useResource((signal) => {
        const query = new URLSearchParams({ series: SERIES, ...historyQuery(asked.current) });
        return api.get(`${api.one(id)}${heap ? `/heaps/${heap}` : ""}/history?${query}`, signal);
    }, [id, heap, which], { every: refreshMs(window) });
    const absorbed = useRef(/** @type {object|null} */ (null));
    if (answer.data && answer.data !== absorbed.current) {
        absorbed.current = answer.data;
        track.absorb(answer.data);
    }
    return { track, loading: answer.loading && !answer.data, problem: problemText(answer.problem), answer: answer.data };
}

/** History may be off, or not know the process yet: neither is a fault of the page. @param {import("./api.js").Problem|null} problem */
const problemText = (problem) => !problem ? "" : problem.code === "history_off" ? "History is not kept (--no-history): charts begin with this page."
    : problem.status === 404 ? "" : `History: ${problem.message}`;

/** The collections of the window, and those of the stream since; cutAt: those before it were too many to read. @param {Store} store @param {number} heap @param {Window} window */
export function usePool(store, heap, window) {
    const id = store.chosen;
    const pool = kept(pools, id, () => new Pool());
    pool.add(store.collections);
    pool.bound(window);
    const asked = useRef(window);
    asked.current = window;
    const which = window.held ? `${window.from}/${window.to}` : window.range.name;
    const answer = useResource(async (signal) => {
        let cursor = /** @type {string|null} */ (null);
        let cutAt = 0;
        const { from, to } = historyQuery(asked.current);
        for (let page = 0; page < PAGES_MOST; page++) {
            const query = new URLSearchParams({ from, to, limit: String(PAGE), ...heap ? { heap: String(heap) } : {}, ...cursor ? { cursor } : {} });
            const body = await api.get(`${api.one(id)}/history/collections?${query}`, signal);
            pool.add(body.collections);
            cursor = body.next_cursor;
            if (!cursor) {
                return 0;
            }
            cutAt = Date.parse(body.collections[body.collections.length - 1].started_at) / 1000;
        }
        return cutAt;
    }, [id, heap, which]);
    return { pool, loading: answer.loading && answer.data === null, cutAt: answer.data ?? 0, problem: problemText(answer.problem) };
}

/** At most so many marks as a chart bears: of each reason the longest in each step. @param {Mark[]} marks @param {number} from @param {number} to */
export function marksOf(marks, from, to) {
    const width = (to - from) / (MARKS_MOST / 3);
    /** @type {Map<number, Mark>} */
    const longest = new Map();
    for (const mark of marks) {
        if (mark.t >= from && mark.t <= to) {
            const slot = Math.floor(mark.t / width) * 16 + reasonOf(mark.reason).rank;
            const other = longest.get(slot);
            if (!other || mark.pause_ns > other.pause_ns) {
                longest.set(slot, mark);
            }
        }
    }
    return [...longest.values()].sort((a, b) => b.pause_ns - a.pause_ns).slice(0, MARKS_MOST).sort((a, b) => b.t - a.t);
}
