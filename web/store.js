/* What the page knows, and how each answer and stream event changes it. No network, no DOM.
 *
 * A view never replaces a newer one: within one run of tallyd (start_id), an older seq is dropped. Whoever wants
 * to draw subscribes; `changed` may be called any number of times between two frames. */

import { History, SPAN_S } from "./series.js";

const COLLECTIONS_KEPT = 1000;
const OPERATIONS_KEPT = 50;
/** Without a frame or a confirmation for this long, what is shown is stale. */
export const STALE_MS = 3000;

/** @typedef {"checking"|"out"|"in"} Session */

export class Store {
    /** @param {() => void} changed @param {() => number} now a clock in ms that only goes forward */
    constructor(changed, now = () => performance.now()) {
        this.changed = changed;
        this.now = now;
        this.openedAt = now();
        this.session = /** @type {Session} */ ("checking");
        this.loginProblem = "";
        this.info = /** @type {import("./types").Info|null} */ (null);
        this.link = /** @type {import("./types").Link} */ ({ state: "connecting", since: 0, retryAt: 0, reason: "" });
        this.startId = "";
        this.fleet = /** @type {import("./types").Fleet|null} */ (null);
        this.who = /** @type {import("./types").Who|null} */ (null);
        this.alerts = /** @type {Map<number, import("./types").Alert>} */ (new Map());
        /** Tries the link again at once; the wiring puts it here. */
        this.hurry = () => {};
        this.listeners = /** @type {Map<string, Set<(data: any) => void>>} */ (new Map());
        this.chosen = "";
        this.stats = /** @type {import("./types").Stats|null} */ (null);
        this.statsProblem = "";
        this.freshAt = -Infinity;
        this.missed = 0;
        this.missedAt = -Infinity;
        this.collections = /** @type {import("./types").Collection[]} */ ([]);
        this.operations = /** @type {Map<string, import("./types").Operation>} */ (new Map());
        this.histories = /** @type {Map<string, History>} */ (new Map());
        this.monoAhead = -Infinity;
        this.wallBase = 0;
    }

    /** @param {Session} session @param {string} [problem] */
    setSession(session, problem = "") {
        this.session = session;
        this.loginProblem = problem;
        this.changed();
    }

    /** @param {import("./types").Info} info */
    setInfo(info) {
        this.info = info;
        this.#daemon(info.start_id);
        this.#clock(info);
        const wall = Date.parse(info.started_at) + info.uptime_ns / 1e6;
        this.monoAhead = Math.max(this.monoAhead, wall - this.wallBase * 1000 - this.now());
        this.changed();
    }

    /** Somebody looks again after a while in which nothing was asked: tallyd has the usual time to answer. */
    resume() {
        this.freshAt = this.now();
        this.changed();
    }

    /** @param {import("./types").Link} link */
    setLink(link) {
        if (link.state === "offline") {
            this.histories.forEach((history) => history.gap());
            this.listeners.get("offline")?.forEach((listener) => listener(link));
        }
        this.link = link;
        this.changed();
    }

    /** @param {string} id */
    choose(id) {
        if (id !== this.chosen) {
            this.chosen = id;
            this.stats = null;
            this.statsProblem = "";
            this.freshAt = -Infinity;
            this.missedAt = -Infinity;
            this.collections = [];
            this.changed();
        }
    }

    /** @param {string} event @param {any} data */
    take(event, data) {
        if (event === "hello") {
            this.#daemon(data.start_id);
        } else if (event === "fleet") {
            this.setFleet(data);
        } else if (event === "stats") {
            this.setStats(data);
        } else if (event === "collections" && data.id === this.chosen) {
            this.addCollections(data.collections);
        } else if (event === "operation") {
            this.setOperation(data);
        } else if (event === "alert") {
            this.#alert(data);
        } else if (event === "gap") {
            this.missed = data.missed + (this.now() - this.missedAt < STALE_MS ? this.missed : 0);
            this.missedAt = this.now();
        }
        this.listeners.get(event)?.forEach((listener) => listener(data));
        this.changed();
    }

    /** @param {import("./types").Fleet} fleet */
    setFleet(fleet) {
        if (this.fleet && fleet.seq < this.fleet.seq) {
            return;
        }
        this.fleet = fleet;
        this.#clock(fleet);
        const t = this.daemonSeconds(); /* an old view says that nothing has changed until now */
        const known = new Set();
        for (const process of fleet.processes) {
            known.add(process.id);
            if (process.state === "live") {
                this.#history(process.id).push(t, process.live_bytes);
            }
        }
        for (const id of this.histories.keys()) {
            if (!known.has(id)) {
                this.histories.delete(id);
            }
        }
        this.changed();
    }

    /** @param {import("./types").Stats} stats */
    setStats(stats) {
        if (stats.id !== this.chosen || (this.stats && stats.seq < this.stats.seq)) {
            return;
        }
        this.stats = stats;
        this.statsProblem = "";
        this.freshAt = this.now();
        this.#clock(stats);
        this.changed();
    }

    /** @param {string} problem */
    setStatsProblem(problem) {
        this.statsProblem = problem;
        this.changed();
    }

    /** @param {import("./types").Collection[]} collections */
    addCollections(collections) {
        const key = (/** @type {import("./types").Collection} */ c) => `${c.heap}/${c.sequence}`;
        const all = new Map(this.collections.map((c) => [key(c), c]));
        collections.forEach((c) => all.set(key(c), c));
        this.collections = [...all.values()].sort((a, b) => b.start_mono_ns - a.start_mono_ns || b.sequence - a.sequence)
            .slice(0, COLLECTIONS_KEPT);
        this.changed();
    }

    /** Who asks, and what they may. @param {import("./types").Who} who */
    setWho(who) {
        this.who = who;
        this.changed();
    }

    /** All that fire. @param {import("./types").Alert[]} alerts @param {import("./types").Alert[]} [news] what has come since they were asked for */
    setAlerts(alerts, news = []) {
        this.alerts = new Map(alerts.map((alert) => [alert.id, alert]));
        news.forEach((alert) => this.#alert(alert));
        this.changed();
    }

    /** @param {import("./types").Alert} alert */
    #alert(alert) {
        alert.state === "firing" ? this.alerts.set(alert.id, alert) : this.alerts.delete(alert.id);
    }

    /** Hears of every event of a topic that the stream brings, or "offline" of its end; gives what ends that. @param {string} event @param {(data: any) => void} listener */
    listen(event, listener) {
        const all = this.listeners.get(event) ?? new Set();
        this.listeners.set(event, all.add(listener));
        return () => all.delete(listener);
    }

    /** Ended operations do not come back to life. @param {import("./types").Operation} operation */
    setOperation(operation) {
        if (this.operations.get(operation.id)?.finished_at && !operation.finished_at) {
            return;
        }
        this.operations.delete(operation.id);
        this.operations.set(operation.id, operation);
        for (const id of this.operations.keys()) {
            if (this.operations.size <= OPERATIONS_KEPT) {
                break;
            }
            this.operations.delete(id);
        }
        this.changed();
    }

    /** The chosen process as the list has it. */
    get summary() {
        return this.fleet?.processes.find((process) => process.id === this.chosen) ?? null;
    }

    /** So many seconds back go the courses of all processes: whole minutes since the page was opened, five at most. */
    get reach() {
        return Math.min(SPAN_S, 60 * Math.ceil(Math.max(1, this.now() - this.openedAt) / 60_000));
    }

    /** ms since the chosen process's figures were last known to be true. */
    get silence() {
        return this.now() - this.freshAt;
    }

    get stale() {
        return this.stats !== null && this.stats.state === "live" && this.silence > STALE_MS;
    }

    /** A point of tallyd's monotonic clock on the charts' axis, seconds since 1970. @param {number} ns */
    axis(ns) {
        return this.wallBase + ns / 1e9;
    }

    /** tallyd's time as far as we know it, on the charts' axis. */
    daemonSeconds() {
        return this.axis((this.now() + this.monoAhead) * 1e6);
    }

    /** Old sequence numbers mean nothing to a new tallyd. @param {string} startId */
    #daemon(startId) {
        if (startId && startId !== this.startId) {
            this.startId = startId;
            this.fleet = this.fleet && { ...this.fleet, seq: -1 };
            this.stats = this.stats && { ...this.stats, seq: -1 };
            this.operations.clear();
            this.monoAhead = -Infinity;
            this.histories.forEach((history) => history.gap());
        }
    }

    /** The freshest view of all tells how far tallyd's clock is ahead of ours. @param {import("./types").View} view */
    #clock(view) {
        this.wallBase ||= Date.parse(view.as_of) / 1000 - view.as_of_mono_ns / 1e9;
        this.monoAhead = Math.max(this.monoAhead, view.as_of_mono_ns / 1e6 - this.now());
    }

    /** @param {string} id */
    #history(id) {
        let history = this.histories.get(id);
        if (!history) {
            history = new History();
            this.histories.set(id, history);
        }
        return history;
    }
}
