/* A real tallyd in folders of its own, real programs beside it, and HTTP over api.sock; ended whole, whatever happened. */

import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

export const BUILD = resolve(process.env.TALLY_BUILD ?? fileURLToPath(new URL("../../build", import.meta.url)));
export const SLOWER = Number(process.env.TALLY_TEST_SLOWER ?? 1); /* see tests/run.py */
const PATIENCE_MS = 30_000 * SLOWER;

/** Waits for a true value and returns it. */
export async function until(what, condition) {
    const end = Date.now() + PATIENCE_MS;
    for (;;) {
        const value = await condition();
        if (value) {
            return value;
        }
        assert.ok(Date.now() < end, `not in time: ${what}`);
        await sleep(20);
    }
}

/** Ends a child of ours, gently first. */
async function end(child) {
    if (child.exitCode !== null || child.signalCode !== null) {
        return;
    }
    const ended = once(child, "exit");
    child.kill("SIGTERM");
    if (!await Promise.race([ended.then(() => true), sleep(2000 * SLOWER).then(() => false)])) {
        child.kill("SIGKILL");
        await ended;
    }
}

/* An atom that holds itself is garbage that only the cycle collector finds. */
const PROGRAM = `(def! knot (fn* [] (let* [a (atom nil)] (do (reset! a a) nil))))
(def! churn (fn* [n] (if (> n 0) (do (knot) (churn (- n 1))) nil)))
`;

export class World {
    children = [];
    told = 0;
    /** What cases call by name: ids of processes and of an operation, and whatever a file of cases adds. */
    names = {};

    async start(...options) {
        await this.begin();
        this.names.artifact = this.artifact("app", 1000, "shop");
        this.names.doomed = this.artifact("chain", 10, "short", "7");
        await this.serve(...options);
        await this.populate();
    }

    /** The folders, before there is a daemon. */
    async begin() {
        this.dir = await mkdtemp(join(tmpdir(), "tally-api-"));
        this.run = join(this.dir, "run");
        this.env = { ...process.env, TALLY_RUNTIME_DIR: this.run, TALLY_STATE_DIR: join(this.dir, "state") };
        for (const name of ["ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS"]) { /* where tallyd may write in its sandbox */
            this.env[name] = `${process.env[name] ?? ""}:log_path=${join(this.env.TALLY_STATE_DIR, "sanitizer")}`;
        }
        await mkdir(this.run, { mode: 0o700 });
        await mkdir(this.env.TALLY_STATE_DIR, { mode: 0o700 });
    }

    /** tallyd alone, and the artifact analysed where there is one. */
    async serve(...options) {
        this.daemon = this.spawn("tallyd", "--http-listen", "127.0.0.1:0", ...options);
        await until("tallyd is ready", async () => {
            assert.equal(this.daemon.exitCode, null, `tallyd ended: ${this.daemon.said}`);
            return readFile(join(this.run, "http.addr"), "utf8").catch(() => "");
        });
        const { artifact } = this.names;
        await until("the snapshot is analysed", async () => !artifact || (await this.call("GET", `/v1/artifacts/${artifact}`)).json.state === "ready");
    }

    /** A snapshot of a heap that never was, for tallyd to find when it starts. Returns its id. */
    artifact(shape, objects, name, seconds = "0") {
        const made = spawnSync(join(BUILD, "hosts/artifact"),
            [this.env.TALLY_STATE_DIR, shape, String(objects), name, "0".repeat(31) + "1", seconds], { encoding: "utf8" });
        assert.equal(made.status, 0, made.stderr ?? String(made.error));
        return made.stdout.trim();
    }

    /** mal evaluates a line; comes back once it is through. */
    async tell(mal, line) {
        const word = `told-${this.told++}`;
        mal.stdin.write(`${line}\n(println "${word}")\n`);
        await until(`mal is through with ${line}`, () => {
            assert.equal(mal.exitCode, null, "mal ended");
            return mal.said.includes(`${word}\n`); /* once as printed; it does not echo what it reads */
        });
    }

    /** `live` with garbage, types and collections; `ledger`, a program in C; `saved`, one whose garbage list is full; `gone`,
     * one that has ended. */
    async populate() {
        const mal = this.spawn("tally-mal", "--name", "bakery", "--label", "kind=cycles");
        await this.tell(mal, `${PROGRAM}(churn 2000)`);
        const short = this.spawn("tally-mal", "--name", "short");
        short.stdin.write(`${PROGRAM}(churn 500)\n`);
        const ledger = this.spawn("hosts/ledger");
        ledger.stdin.write("make 10\nring 10\ncollect 2\n");
        this.names.pid = String(mal.pid);
        this.names.live = (await until("mal is attached", () => this.find(mal.pid, "live"))).id;
        this.names.ledger = (await until("the ledger is attached", () => this.find(ledger.pid, "live"))).id;
        this.names.gone = (await until("a program is there that will end", () => this.find(short.pid, "live"))).id;
        short.stdin.end();
        await until("it has ended", () => this.find(short.pid, "gone"));
        await this.save(this.spawn("hosts/ledger", "saved"));
        this.names.nobody = "f".repeat(32);
        const done = await this.call("POST", `/v1/processes/${this.names.live}/collect?wait=30s`, { body: {} });
        assert.equal(done.status, 200, done.text);
        this.names.operation = done.json.id;
        this.names.baseline = await this.baseline("live");
        this.names.spare = await this.baseline("live");
        await this.tell(mal, "(def! kept (map (fn* [n] (atom n)) (list 1 2 3 4 5)))");
        const kept = async () => (await this.call("GET", `/v1/processes/${this.names.live}/types?type=atom`)).json.types[0].live_objects >= 5;
        await until("the view shows what it keeps", kept);
        await until("history has looked at them", async () => {
            const history = await this.call("GET", `/v1/processes/${this.names.ledger}/history?from=-10s`);
            const collections = await this.call("GET", `/v1/processes/${this.names.live}/history/collections`);
            return history.json.series?.[0].last.some((value) => value !== null) && collections.json.collections?.length;
        });
        this.mal = mal;
    }

    async baseline(name) {
        const done = await this.call("POST", `/v1/processes/${this.names[name]}/baseline`, { body: {} });
        assert.equal(done.status, 200, done.text);
        return done.json.result.baseline;
    }

    async save(child) {
        child.stdin.write("automatic 0\n");
        this.names.saved = (await until("it is attached", () => this.find(child.pid, "live"))).id;
        const path = `/v1/processes/${this.names.saved}`;
        const changed = await this.call("PATCH", `${path}/config`, { body: { debug: ["saveall"] } });
        assert.equal(changed.status, 200, changed.text);
        child.stdin.write("ring 10\ncollect 2\n");
        await until("its garbage is kept", async () => (await this.call("GET", `${path}/stats`)).json.garbage);
    }

    spawn(program, ...options) {
        const child = spawn(join(BUILD, program), options, { env: this.env, stdio: "pipe" });
        child.stdin.on("error", () => {}); /* it may end before it has read everything */
        child.said = "";
        [child.stdout, child.stderr].forEach((stream) => stream.on("data", (text) => { child.said += text; }));
        this.children.push(child);
        return child;
    }

    async find(pid, state) {
        const answer = await this.call("GET", `/v1/processes?state=${state}`);
        return answer.json.processes.find((one) => one.pid === pid && one.heaps.length);
    }

    /** events: those of a stream that it is read for. body: an object, or a text that is sent as it is. Over api.sock; over TCP with { tcp: true }. */
    async call(method, path, { body, headers = {}, tcp = false, events } = {}) {
        const text = body === undefined ? undefined : typeof body === "string" ? body : JSON.stringify(body);
        const [host, port] = tcp ? (await readFile(join(this.run, "http.addr"), "utf8")).trim().split(":") : [];
        const to = tcp ? { host, port } : { socketPath: join(this.run, "api.sock") };
        const sent = { ...(text === undefined ? {} : { "Content-Type": "application/json", "Content-Length": Buffer.byteLength(text) }),
            ...headers };
        for (const name of Object.keys(sent)) {
            if (sent[name] === null) {
                delete sent[name];
            }
        }
        return new Promise((fulfil, reject) => {
            const asking = request({ ...to, method, path, headers: sent, agent: false, timeout: PATIENCE_MS }, (answer) => {
                const parts = [];
                const finish = () => {
                    const bytes = Buffer.concat(parts);
                    const got = { status: answer.statusCode, headers: answer.headers, bytes, text: bytes.toString() };
                    try {
                        got.json = JSON.parse(got.text);
                    } catch { /* then it is not JSON */ }
                    fulfil(got);
                };
                answer.on("data", (part) => {
                    parts.push(part);
                    const frames = events && Buffer.concat(parts).toString().split("\n\n").slice(0, -1);
                    if (events?.every((event) => frames.some((frame) => frame.includes(`event: ${event}\n`)))) {
                        answer.destroy();
                        finish();
                    }
                });
                answer.on("end", finish);
                answer.on("error", reject);
            });
            asking.on("timeout", () => asking.destroy(new Error(`${method} ${path} took too long`)));
            asking.on("error", reject);
            asking.end(text);
        });
    }

    async stop() {
        for (const child of this.children.reverse()) {
            await end(child);
        }
        const reports = this.children.map((child) => child.said).filter((text) => /Sanitizer|runtime error:|Can't open file:/.test(text));
        for (const name of await readdir(this.env.TALLY_STATE_DIR)) {
            if (name.startsWith("sanitizer.")) {
                reports.push(await readFile(join(this.env.TALLY_STATE_DIR, name), "utf8"));
            }
        }
        await rm(this.dir, { recursive: true, force: true });
        assert.deepEqual(reports, [], "a sanitizer's report");
    }
}
