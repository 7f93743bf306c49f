/* A tallyd for the page's state tests: the same routes, files and events, with processes that a test can bend.
 *
 * It exists to show what a real daemon shows seldom: silence, restarts, refusals, loss. `node fake-tallyd.mjs` serves
 * it by hand. */

import { createServer } from "node:http";
import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Findings } from "./fake-findings.mjs";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const MODULES = `${ROOT}web/node_modules/`;
const VENDOR = {
    "/vendor/uplot.js": `${MODULES}uplot/dist/uPlot.esm.js`,
    "/vendor/uplot.css": `${MODULES}uplot/dist/uPlot.min.css`,
    "/vendor/htm-preact.js": `${MODULES}htm/preact/standalone.module.js`,
};
const KINDS = { html: "text/html; charset=utf-8", js: "text/javascript; charset=utf-8", css: "text/css; charset=utf-8", svg: "image/svg+xml" };
const CSP = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    + "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

/** The catalogue, from the rows that tallyd's own is made of. */
export function catalogue() {
    const text = readFileSync(`${ROOT}src/stats/fields.def`, "utf8");
    return [...text.matchAll(/^STATS_FIELD\(\w+, "([^"]+)", (\w+), "([^"]+)", "([^"]+)", "([^"]+)"\)/gm)]
        .map(([, path, kind, unit, label, help]) => ({ path, kind, unit, label, help }));
}

/** The sheets that a sheet imports, in one, as tallyd has them. @param {string} text */
const bundled = async (text) => (await Promise.all([...text.matchAll(/@import "\.(\/[^"]+)"/g)]
    .map(([, path]) => readFile(VENDOR[path] ?? `${ROOT}web${path}`, "utf8")))).join("\n");

const monoNs = () => Number(process.hrtime.bigint());
const iso = (ms) => new Date(ms).toISOString();

/** A program that allocates, frees most by count, and leaves cycles for the collector. */
export function fakeProcess(name, more = {}) {
    return { id: randomBytes(16).toString("hex"), pid: 1000 + Math.floor(Math.random() * 60000), uid: 1000, name, state: "live",
        labels: {}, library: "0.1.0", attached_at: iso(Date.now()), gone_at: null, end: null, complete: true, enabled: true,
        manager: "cycle", thresholds: [700, 10, 10], debug: [], max_pause_us: 0, memory_limit_bytes: 0, level: "all", lost: 0, allocations: 4000, refcount: 1000,
        cycle: 0, garbage: 2500, gen0: 0, records: [], announced: 0, phase: 0, pace: 1, collected: 0, pauseSum: 0, longest: 0, ...more };
}

function advance(p) {
    const made = Math.round((900 + 500 * Math.sin(p.phase += 0.21) + 200 * Math.random()) * p.pace);
    const cyclic = Math.round(made * 0.32);
    p.allocations += made;
    p.refcount += made - cyclic - Math.round(12 * Math.sin(p.phase / 5));
    p.garbage += cyclic;
    if (p.enabled && ++p.gen0 % 4 === 0) {
        collect(p, p.gen0 % 60 === 0 ? 2 : p.gen0 % 16 === 0 ? 1 : 0, "threshold", null);
    }
}

function collect(p, generation, reason, operation) {
    const found = generation === 2 ? p.garbage : Math.round(p.garbage * (generation ? 0.5 : 0.25));
    const before = 64 * (p.allocations - p.refcount - p.cycle);
    const pause = 40_000 + found * 33;
    p.garbage -= found;
    p.cycle += found;
    p.collected += found;
    p.pauseSum += pause;
    p.longest = Math.max(p.longest, pause);
    p.records.unshift({ heap: 1, sequence: p.records.length + 1, started_at: iso(Date.now()), start_mono_ns: monoNs(), reason, generation,
        manager: p.manager, scope: p.manager === "cycle" ? "candidates" : "generations", slices: 1, pause_ns: pause, phases: { find_ns: pause * 0.6, callback_ns: 0, free_ns: pause * 0.4 }, examined: found * 3,
        collected: found, freed_bytes: found * 64, uncollectable: 0, live_bytes_before: before, live_bytes_after: before - found * 64,
        safepoint_wait_ns: operation ? 2_000_000 : 0, operation });
    return found;
}

function summaryOf(p) {
    const live = p.allocations - p.refcount - p.cycle;
    const { id, pid, uid, name, state, labels, library, attached_at, gone_at, end, complete, enabled, manager } = p;
    return { id, pid, uid, name, state, labels, library, attached_at, gone_at, end, complete, safepoint_age_ns: 1_400_000,
        exit: p.exit ?? null, live_objects: live, live_bytes: live * 64, allocations: p.allocations, frees: { refcount: p.refcount, cycle: p.cycle },
        collections: p.records.length, pause_ns: p.pauseSum, max_pause_ns: p.longest, p99_pause_ns: p.longest, predicted_pause_ns: 40_000 + p.garbage * 33,
        allocations_per_s: Math.round(3600 * p.pace), pause_ns_per_s: Math.round(p.pauseSum / 100), last_pause_ns: p.records[0]?.pause_ns ?? null,
        last_reason: p.records[0]?.reason ?? null, events_lost: p.lost, enabled, manager, heaps: [{ n: 1, live_objects: live, live_bytes: live * 64, state: "running" }] };
}

function statsOf(p) {
    const summary = summaryOf(p);
    const figures = figuresOf(p, summary);
    return { ...summary, ...figures, heaps: [{ ...figures, n: 1, gone: false, state: "running", live_objects: summary.live_objects,
        live_bytes: summary.live_bytes, complete: p.complete, inconsistent: false, types_without_row: p.rowless ?? 0 }] };
}

function figuresOf(p, summary) {
    return { allocations: p.allocations, frees: summary.frees, enabled: p.enabled, manager: p.manager, safepoint_age_ns: summary.safepoint_age_ns,
        rates: { allocations_per_s: 4000, frees_per_s: { refcount: 2700, cycle: 1300 } }, candidates: p.garbage, candidates_due: 4000, extern_bytes: 0,
        stress: { nth: 0, every_decref: false }, access: "control", collections: p.records.length, allocated_bytes: p.allocations * 64, freed_bytes: { refcount: p.refcount * 64, cycle: p.cycle * 64 },
        collected: p.collected, uncollectable: 0, pause_ns: p.pauseSum, max_pause_ns: p.longest, last_pause_ns: p.records[0]?.pause_ns ?? 0,
        garbage: 0, frozen: 0, mapped_bytes: Math.ceil(summary.live_bytes / 65536) * 65536, thresholds: p.thresholds, debug: p.debug,
        max_pause_us: p.max_pause_us, memory_limit_bytes: p.memory_limit_bytes, slices: { count: 0, missed: 0, longest_ns: 0 },
        counts: [0, 0, 0], generations: [], events: { level: p.level, written: p.allocations * 2, lost: p.lost, seen: p.allocations * 2 - p.lost } };
}

function typesOf(p) {
    const { live_objects: live, allocations, frees } = summaryOf(p);
    return [["closure", 0.4], ["environment", 0.3], ["list", 0.2], ["symbol", 0.07], ["number", 0.03]].map(([name, share]) => ({ name,
        tracked: share > 0.1, size_bytes: 64, live_objects: Math.round(live * share), live_bytes: Math.round(live * share) * 64,
        allocations: Math.round(allocations * share), allocated_bytes: Math.round(allocations * share) * 64,
        frees: { refcount: Math.round(frees.refcount * share), cycle: Math.round(frees.cycle * share) } }));
}

const configOf = (p) => ({ enabled: p.enabled, manager: p.manager, thresholds: p.thresholds, debug: p.debug,
    max_pause_us: p.max_pause_us, memory_limit_bytes: p.memory_limit_bytes, events: p.level });

class Fake {
    constructor(processes) {
        this.processes = processes;
        this.tokens = new Set();
        this.codes = new Set();
        this.streams = new Set();
        this.sockets = new Set();
        this.operations = [];
        this.seq = 100;
        this.frozen = false; /* no frames, no answers, but connections stay */
        this.quiet = false; /* nothing happens in the processes: no frames, answers as ever */
        this.attached = true; /* false: no process is known */
        this.safepoints = true; /* false: operations wait until they expire, after... */
        this.deadlineMs = 1200; /* ...so long, or when a test says so */
        this.scopes = ["read", "control"]; /* what the session may do */
        this.stuck = new Set(); /* processes that a batch finds at no safepoint */
        this.alerts = []; /* those that fire */
        this.log = []; /* "METHOD path" of every request for the API */
        this.port = 0;
        this.findings = new Findings(this);
    }

    get url() {
        return `http://127.0.0.1:${this.port}/`;
    }

    /** A login link that goes on to a place, such as `process=ID`. */
    link(place = "") {
        const code = randomBytes(12).toString("hex");
        this.codes.add(code);
        return `${this.url}#login=${code}${place && `&${place}`}`;
    }

    async start() {
        this.startedAt = Date.now();
        this.startId = randomBytes(8).toString("hex");
        this.server = createServer((request, response) => this.#serve(request, response));
        this.server.on("connection", (socket) => {
            this.sockets.add(socket);
            socket.on("close", () => this.sockets.delete(socket));
        });
        await this.#listen();
        this.server.unref(); /* a test that fails before it stops us must not keep its process */
        this.port = this.server.address().port;
        this.timer = setInterval(() => this.#turn(), 250).unref();
        return this;
    }

    /** On the port of before, if there was one; somebody's connection may have it for a moment. */
    async #listen() {
        for (let listening = false; !listening;) {
            listening = await new Promise((done, failed) => {
                this.server.once("error", (error) => error.code === "EADDRINUSE" ? setTimeout(done, 50, false) : failed(error));
                this.server.listen(this.port, "127.0.0.1", () => done(true));
            });
        }
        this.server.removeAllListeners("error");
    }

    /** As kill -9 does it: no goodbye. */
    async stop() {
        clearInterval(this.timer);
        this.streams.clear();
        const closed = new Promise((resolve) => this.server.close(resolve));
        this.sockets.forEach((socket) => socket.destroy());
        await closed;
    }

    #turn() {
        if (this.frozen || this.quiet) {
            return;
        }
        this.seq++;
        this.processes.filter((p) => p.state === "live").forEach((p) => {
            advance(p);
            p.fresh = p.records.slice(0, p.records.length - p.announced);
            p.announced = p.records.length;
        });
        this.streams.forEach((stream) => this.#frames(stream));
    }

    #view(body) {
        return { as_of: iso(Date.now()), as_of_mono_ns: monoNs(), seq: this.seq, ...body };
    }

    fleet() {
        return this.#view({ processes: this.attached ? this.processes.map(summaryOf) : [], next_cursor: null });
    }

    send(stream, event, data) {
        stream.response.write(`id: ${this.startId}-${this.seq}\nevent: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
    }

    #frames(stream) {
        if (stream.topics.includes("fleet")) {
            this.send(stream, "fleet", this.fleet());
        }
        const p = this.attached && this.processes.find(({ id }) => stream.topics.includes(`stats:${id}`));
        if (p) {
            this.send(stream, "stats", this.#view(statsOf(p)));
            if (p.fresh?.length) {
                this.send(stream, "collections", { id: p.id, collections: p.fresh });
            }
        }
    }

    #operation(p, kind, deadline_ms) {
        const operation = { id: randomBytes(6).toString("hex"), kind, process: p.id, state: "waiting_for_safepoint", code: null, detail: null,
            deadline_ms, created_at: iso(Date.now()), finished_at: null, safepoint_wait_ns: null, pause_ns: null, result: null, heaps: [] };
        this.operations.unshift(operation);
        this.#publish(operation);
        return operation;
    }

    /** An operation that has ended well. */
    done(p, kind, result) {
        const operation = this.#operation(p, kind, 30_000);
        this.#finish(operation, "succeeded", { result, safepoint_wait_ns: 100_000, pause_ns: 0 });
        return operation;
    }

    #expire(operation) {
        this.#finish(operation, "expired", { code: "expired", detail: "the owner reached no safepoint in time" });
    }

    /** What waits has waited long enough. */
    expire() {
        this.operations.forEach((operation) => this.#expire(operation));
    }

    #publish(operation) {
        this.streams.forEach((stream) => this.send(stream, "operation", operation));
    }

    #finish(operation, state, more) {
        if (operation.finished_at === null) {
            Object.assign(operation, { state, finished_at: iso(Date.now()) }, more);
            this.#publish(operation);
        }
    }

    async #serve(request, response) {
        const url = new URL(request.url.replaceAll("+", "%2B"), this.url); /* a + is a +, as tallyd has it */
        if (!url.pathname.startsWith("/v1/")) {
            return this.#file(url.pathname, response);
        }
        this.log.push(`${request.method} ${url.pathname}`);
        if (this.frozen) {
            return undefined;
        }
        const pieces = [];
        for await (const piece of request) {
            pieces.push(piece);
        }
        const body = pieces.length ? JSON.parse(Buffer.concat(pieces).toString()) : {};
        if (url.pathname === "/v1/session" && request.method === "POST") {
            return this.#login(body.code, response);
        }
        if (!this.tokens.has((request.headers.authorization ?? "").replace("Bearer ", ""))) {
            return this.#problem(response, 401, "token_invalid", "the token is missing or unknown");
        }
        return this.#route(request, url, body, response);
    }

    async #file(path, response) {
        try {
            const file = VENDOR[path] ?? `${ROOT}web${/^\/(views\/)?[a-z-]+\.(js|css|html|svg)$/.test(path) ? path : "/index.html"}`;
            const body = path === "/page.css" ? await bundled(await readFile(file, "utf8")) : await readFile(file);
            response.writeHead(200, { "Content-Type": KINDS[file.split(".").pop()], "Content-Security-Policy": CSP,
                "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer" });
            response.end(body);
        } catch {
            response.writeHead(404).end();
        }
    }

    #json(response, status, body, headers = {}) {
        response.writeHead(status, { "Content-Type": "application/json", ...headers });
        response.end(JSON.stringify(body));
    }

    #problem(response, status, code, detail, more = {}) {
        response.writeHead(status, { "Content-Type": "application/problem+json" });
        response.end(JSON.stringify({ type: `/problems/${code}`, title: code, status, detail, code, ...more }));
    }

    #login(code, response) {
        if (!this.codes.delete(code)) {
            return this.#problem(response, 401, "code_invalid", "the code is unknown, used or older than 60 s");
        }
        const token = randomBytes(16).toString("hex");
        this.tokens.add(token);
        return this.#json(response, 200, { token, scopes: ["read", "control"] });
    }

    async #route(request, url, body, response) {
        const [, , area, id, what] = url.pathname.split("/").map(decodeURIComponent);
        if (area === "stream") {
            return this.#stream(request, url, response);
        }
        if (area === "info") {
            return this.#json(response, 200, this.#view({ version: "0.1.0", start_id: this.startId, pid: 4242, mode: "user",
                started_at: iso(this.startedAt), uptime_ns: (Date.now() - this.startedAt) * 1e6,
                managers: ["none", "refcount", "generational", "cycle", "full"], fields: catalogue() }));
        }
        if (area === "session") {
            return this.#json(response, 200, { who: "session", scopes: this.scopes, remote_control_off: false });
        }
        if (area === "alerts") {
            return this.#json(response, 200, { start_id: this.startId, alerts: this.alerts, next_cursor: null });
        }
        if (area === "batch") {
            return this.#batch(body, response);
        }
        if (area === "operations") {
            return this.#operations(request, id, response);
        }
        const found = this.findings.answer(request.method, url, body);
        if (found) {
            return found[0] < 400 ? this.#json(response, ...found) : this.#problem(response, found[0], found[1].code, found[1].detail);
        }
        if (area === "processes" && !id) {
            return this.#json(response, 200, this.fleet());
        }
        const p = this.attached && this.processes.find((one) => one.id === id);
        return p ? this.#process(request, p, what, body, response)
            : this.#problem(response, 404, "process_unknown", `no process ${id}`);
    }

    async #process(request, p, what, body, response) {
        if (request.method !== "GET" && p.state === "gone") {
            return this.#problem(response, 410, "process_gone", `what is still known of it, and how it ended, is at GET /v1/processes/${p.id}`,
                { title: "The process is gone", post_mortem: `/v1/processes/${p.id}` });
        }
        switch (`${request.method} ${what}`) {
        case "GET stats": return this.#json(response, 200, this.#view(statsOf(p)));
        case "GET types": return this.#json(response, 200, this.#view({ types: typesOf(p) }));
        case "GET collections": return this.#json(response, 200, this.#view({ collections: p.records.slice(0, 256) }));
        case "GET config": return this.#json(response, 200, this.#view(configOf(p)));
        case "PATCH config": return this.#configure(p, body, response);
        case "POST collect": return this.#collect(p, body, response);
        default: return this.#problem(response, 404, "route_unknown", "no such route");
        }
    }

    /** Results come one after the other; those in `stuck` reach no safepoint, and expire. */
    #batch({ selector, kind, ...members }, response) {
        if (this.refuse) {
            return this.#problem(response, this.refuse, "refused", "this listener is read-only");
        }
        const some = this.processes.filter(({ id, state }) => state === "live" && selector.ids.includes(id));
        const operation = Object.assign(this.#operation({ id: null }, kind, this.deadlineMs), { process_count: some.length, members,
            processes: some.map(({ id }) => ({ id, state: "waiting_for_safepoint", code: null, detail: null, result: null, heaps: [] })) });
        const end = () => operation.processes.every(({ state }) => state !== "waiting_for_safepoint")
            && this.#finish(operation, operation.processes.some(({ state }) => state !== "succeeded") ? "failed" : "succeeded", {});
        some.forEach((p, n) => setTimeout(() => {
            if (operation.finished_at) {
                return;
            }
            const pause_ns = kind === "collect" ? 120_000 : null;
            const result = kind === "collect" ? { collected: collect(p, members.generation, "remote", operation.id), freed_bytes: 64 } : members;
            Object.assign(p, kind === "config" ? members : {});
            Object.assign(operation.processes[n], this.stuck.has(p.id) ? { state: "expired", code: "expired", detail: "the owner reached no safepoint in 1.2 s" }
                : p.vetoes ? { state: "failed", code: "vetoed", detail: "the host does not let its heap be controlled" }
                    : { state: "succeeded", result, heaps: [{ n: 1, state: "succeeded", collected: result.collected, pause_ns }] });
            end();
        }, this.stuck.has(p.id) ? this.deadlineMs : 150 + 10 * n).unref());
        end();
        return this.#json(response, 202, operation, { Location: `/v1/operations/${operation.id}` });
    }

    #configure(p, body, response) {
        const operation = this.#operation(p, "config", 30_000);
        if (!this.safepoints) {
            return this.#json(response, 202, operation, { Location: `/v1/operations/${operation.id}` });
        }
        Object.assign(p, body);
        this.#finish(operation, "succeeded", { result: body, safepoint_wait_ns: 100_000 });
        return this.#json(response, 200, this.#view({ id: p.id, pid: p.pid, state: p.state, ...configOf(p) }));
    }

    #collect(p, body, response) {
        if (this.refuse) {
            return this.#problem(response, this.refuse, "refused", "this listener is read-only");
        }
        const deadline = this.safepoints ? 30_000 : this.deadlineMs;
        const operation = this.#operation(p, "collect", deadline);
        setTimeout(() => {
            if (p.manager === "none" || p.manager === "refcount") {
                return this.#finish(operation, "failed", { code: "unsupported", detail: "this manager does not have that" });
            }
            if (!this.safepoints) {
                return this.#expire(operation);
            }
            const collected = collect(p, body.generation ?? 2, "request", operation.id);
            return this.#finish(operation, "succeeded", { safepoint_wait_ns: 2_000_000, pause_ns: p.records[0].pause_ns,
                result: { collected, freed_bytes: collected * 64 } });
        }, this.safepoints ? 150 : deadline).unref();
        return this.#json(response, 202, operation, { Location: `/v1/operations/${operation.id}` });
    }

    async #operations(request, id, response) {
        if (!id) {
            return this.#json(response, 200, { operations: this.operations });
        }
        const operation = this.operations.find((one) => one.id === id);
        if (!operation) {
            return this.#problem(response, 404, "operation_unknown", "no such operation");
        }
        if (request.method === "DELETE") {
            this.#finish(operation, "cancelled", { code: "cancelled" });
        }
        for (let turn = 0; turn < 50 && operation.finished_at === null && new URL(request.url, this.url).searchParams.has("wait"); turn++) {
            await new Promise((resolve) => setTimeout(resolve, 100));
        }
        return this.#json(response, 200, operation);
    }

    #stream(request, url, response) {
        const stream = { response, topics: url.searchParams.get("topics").split(",") };
        this.lastEventId = request.headers["last-event-id"] ?? null;
        response.writeHead(200, { "Content-Type": "text/event-stream", "Cache-Control": "no-store" });
        response.write("retry: 1000\n\n: hello follows\n\n");
        this.send(stream, "hello", { start_id: this.startId, seq: this.seq });
        this.#frames(stream);
        this.streams.add(stream);
        response.on("close", () => this.streams.delete(stream));
    }
}

/** Starts one on a free port. @param {object[]} [processes] */
export const startFake = (processes = demoProcesses()) => new Fake(processes).start();

export const demoProcesses = () => [
    fakeProcess("bakery", { labels: { demo: "cycles" } }),
    fakeProcess("orchard", { labels: { demo: "waves", host: "worker-3" }, pace: 4, phase: 2 }),
    fakeProcess("mal", { state: "gone", gone_at: iso(Date.now()), end: "exited", pid: null }),
];

if (process.argv[1] === fileURLToPath(import.meta.url)) {
    const fake = await startFake();
    console.log(fake.link());
    process.on("SIGINT", () => process.exit(0));
}
