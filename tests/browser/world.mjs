/* A real tallyd in folders of its own, programs beside it, and a browser; ended whole, whatever happened. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { eventually, launch, open } from "./page.mjs";

export const BUILD = resolve(process.env.TALLY_BUILD ?? fileURLToPath(new URL("../../build", import.meta.url)));

/** Keeps what a program said last, in `said`. */
function heard(child) {
    child.said = "";
    child.stdout.on("data", (text) => { child.said = (child.said + text).slice(-65_536); });
    return child;
}

/** Ends a child of ours, gently first. */
async function end(child) {
    if (child.exitCode === null && child.signalCode === null) {
        const ended = once(child, "exit");
        child.kill("SIGTERM");
        const gently = await Promise.race([ended.then(() => true), sleep(2000).then(() => false)]);
        if (!gently) {
            child.kill("SIGKILL");
            await ended;
        }
    }
}

export class World {
    programs = [];
    marks = 0;

    async start() {
        this.dir = await mkdtemp(join(tmpdir(), "tally-page-"));
        this.run = join(this.dir, "run");
        this.env = { ...process.env, TALLY_RUNTIME_DIR: this.run, TALLY_STATE_DIR: join(this.dir, "state"),
            XDG_CONFIG_HOME: this.dir };
        await mkdir(this.run, { mode: 0o700 });
        await mkdir(this.env.TALLY_STATE_DIR, { mode: 0o700 });
        await this.startDaemon("127.0.0.1:0");
        this.browser = await launch();
    }

    async startDaemon(listen) {
        this.daemon = spawn(join(BUILD, "tallyd"), ["--http-listen", listen], { env: this.env, stdio: ["ignore", "ignore", "pipe"] });
        this.daemon.said = "";
        this.daemon.stderr.on("data", (text) => { this.daemon.said += text; });
        await eventually("tallyd is ready", async () => {
            assert.equal(this.daemon.exitCode, null, `tallyd ended: ${this.daemon.said}`);
            this.address = await readFile(join(this.run, "http.addr"), "utf8").then((text) => text.trim(), () => "");
            return this.address !== "";
        });
    }

    /** A mal program, or the REPL, which reads what `stdin` is given. */
    program(name, label, ...file) {
        const child = spawn(join(BUILD, "tally-mal"), ["--name", name, "--label", label, ...file],
            { env: this.env, stdio: ["pipe", "pipe", "inherit"] });
        child.stdin.on("error", () => {}); /* it may end before it has read everything */
        this.programs.push(child);
        return heard(child);
    }

    /** A program of tests/scenario/hosts, which obeys lines. */
    host(name) {
        const child = spawn(join(BUILD, "hosts", name), [], { env: this.env, stdio: ["pipe", "pipe", "inherit"] });
        this.programs.push(child);
        return heard(child);
    }

    /** The REPL has evaluated these lines, and all that it was given before, and rests: nothing of them is left but what
     * they keep. */
    async evaluated(program, lines) {
        const mark = `evaluated ${++this.marks}`;
        program.stdin.write(`${lines}\n"${mark}"\n`);
        await eventually(`the program has evaluated ${lines}`, () => program.said.includes(`"${mark}"\nuser> `));
    }

    /** Waits until a mal program has done all that it was given so far, and tallyd knows: there is one map more then. */
    async caughtUp(child) {
        const { id } = (await this.api("/v1/processes")).processes.find(({ pid }) => pid === child.pid);
        const maps = async () => (await this.api(`/v1/processes/${id}/types?type=map`)).types[0]?.live_objects ?? 0;
        const before = await maps();
        child.stdin.write(`(def! mark-${before} {"mark" ${before}})\n`);
        await eventually("the program has done all that it was given", async () => await maps() > before);
    }

    /** A login link, from the daemon's own socket. */
    link() {
        return new Promise((done, failed) => {
            const asked = request({ socketPath: join(this.run, "api.sock"), path: "/v1/session", method: "POST",
                headers: { "Content-Type": "application/json" } }, async (answer) => {
                let text = "";
                for await (const piece of answer) {
                    text += piece;
                }
                done(JSON.parse(text).url);
            });
            asked.on("error", failed);
            asked.end("{}");
        });
    }

    async api(path) {
        const token = (await readFile(join(this.run, "token"), "utf8")).trim();
        const answer = await fetch(`http://${this.address}${path}`, { headers: { Authorization: `Bearer ${token}` } });
        assert.equal(answer.status, 200, path);
        return answer.json();
    }

    /** Changes something, with the daemon's own token: the answer's JSON, or null. */
    async ask(method, path, body) {
        const token = (await readFile(join(this.run, "token"), "utf8")).trim();
        const answer = await fetch(`http://${this.address}${path}`, { method, headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" },
            body: body && JSON.stringify(body) });
        const text = await answer.text();
        assert.ok(answer.ok, `${method} ${path}: ${text}`);
        return text ? JSON.parse(text) : null;
    }

    /** The same for what begins an operation, once that has succeeded: as the last answer tells. */
    async done(method, path, body) {
        let answer = await this.ask(method, `${path}?wait=5s`, body);
        while (answer?.state && !answer.finished_at && answer.deadline_ms) {
            answer = await this.api(`/v1/operations/${answer.id}?wait=5s`);
        }
        assert.ok(!answer?.deadline_ms || answer.state === "succeeded", JSON.stringify(answer));
        return answer;
    }

    /** A page whose session has this scope alone, at a place. */
    async openAs(scope, hash) {
        const name = `${scope}-${Date.now()}`;
        const { token } = await this.ask("POST", "/v1/tokens", { name, scope });
        const opened = await open(this.browser, `http://${this.address}/favicon.svg`);
        await opened.page.evaluate((secret) => sessionStorage.setItem("tally.session", secret), token);
        await opened.page.goto(`http://${this.address}/${hash}`);
        return opened;
    }

    async stop() {
        await this.browser?.close();
        await Promise.all([this.daemon, ...this.programs].filter(Boolean).map(end));
        await rm(this.dir, { recursive: true, force: true });
    }
}
