/* Follows tallyd's server-sent events: reads them, comes back after every loss, and says how the link is.
 *
 * One stream at a time. A stream that says nothing for longer than tallyd's heartbeat is taken for dead. */

import * as api from "./api.js";

const SILENCE_MS = 25_000;
const LONGEST_WAIT_MS = 5000;

/** @typedef {{event: string, data: string}} Message */

/** Takes the text of an event stream in pieces of any size and gives whole messages. */
export class EventParser {
    constructor() {
        this.rest = "";
        this.event = "";
        this.lastId = "";
        this.retryMs = 1000;
        /** @type {string[]} */
        this.data = [];
    }

    /** @param {string} text @returns {Message[]} */
    push(text) {
        const messages = [];
        const lines = (this.rest + text).split(/\r\n|\n|\r(?!$)/);
        this.rest = lines.pop() ?? "";
        for (const line of lines) {
            if (line === "") {
                if (this.data.length) {
                    messages.push({ event: this.event || "message", data: this.data.join("\n") });
                }
                this.event = "";
                this.data = [];
            } else {
                this.#field(line);
            }
        }
        return messages;
    }

    /** @param {string} line */
    #field(line) {
        const [, name, value] = /^([^:]*):? ?(.*)$/s.exec(line) ?? [];
        if (name === "event") {
            this.event = value;
        } else if (name === "data") {
            this.data.push(value);
        } else if (name === "id") {
            this.lastId = value;
        } else if (name === "retry" && /^\d+$/.test(value)) {
            this.retryMs = Number(value);
        }
    }
}

/** @typedef {{onMessage: (event: string, data: any) => void, onLink: (link: import("./types").Link) => void,
 *             onRefused: (problem: api.Problem) => void}} Listener */

export class Follower {
    /** @param {Listener} listener */
    constructor(listener) {
        this.listener = listener;
        this.lastId = "";
        this.retryMs = 1000;
        this.failures = 0;
        this.offlineSince = 0;
        /** @type {string[]} */
        this.topics = [];
        /** @type {AbortController|null} */
        this.run = null;
        /** @type {(() => void)|null} */
        this.wake = null;
    }

    /** Follows these topics from now on, on a new stream. @param {string[]} topics */
    follow(topics) {
        this.stop();
        this.topics = topics;
        this.run = new AbortController();
        this.#loop(this.run.signal);
    }

    stop() {
        this.run?.abort();
        this.run = null;
    }

    /** Tries again at once instead of waiting. */
    hurry() {
        this.wake?.();
    }

    /** @param {AbortSignal} stopped */
    async #loop(stopped) {
        while (!stopped.aborted) {
            const reason = await this.#once(stopped);
            if (stopped.aborted) {
                return;
            }
            this.offlineSince ||= Date.now();
            const wait = Math.min(this.retryMs * 2 ** Math.min(this.failures, 4), LONGEST_WAIT_MS) * (0.8 + 0.2 * Math.random());
            this.failures++;
            this.listener.onLink({ state: "offline", since: this.offlineSince, retryAt: Date.now() + wait, reason });
            await new Promise((resolve) => {
                const timer = setTimeout(resolve, wait);
                this.wake = () => (clearTimeout(timer), resolve(undefined));
            });
            this.wake = null;
        }
    }

    /** One stream from its opening to its end; why it ended. @param {AbortSignal} stopped */
    async #once(stopped) {
        const over = new AbortController();
        const abort = () => over.abort();
        stopped.addEventListener("abort", abort);
        let watchdog = setTimeout(abort, SILENCE_MS);
        try {
            const body = await api.openStream(this.topics, this.lastId, over.signal);
            const reader = body.pipeThrough(new TextDecoderStream()).getReader();
            const parser = new EventParser();
            for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
                clearTimeout(watchdog);
                watchdog = setTimeout(abort, SILENCE_MS);
                this.#take(parser, piece.value, stopped);
            }
            return "tallyd closed the stream";
        } catch (error) {
            if (error instanceof api.Problem && error.status >= 400 && error.status < 500 && !stopped.aborted) {
                this.listener.onRefused(error);
            }
            return error instanceof api.Problem ? error.message : "the stream broke off";
        } finally {
            clearTimeout(watchdog);
            stopped.removeEventListener("abort", abort);
            over.abort();
        }
    }

    /** @param {EventParser} parser @param {string} text @param {AbortSignal} stopped */
    #take(parser, text, stopped) {
        for (const { event, data } of parser.push(text)) {
            if (stopped.aborted) {
                return;
            }
            if (event === "hello") {
                this.failures = 0;
                this.offlineSince = 0;
                this.listener.onLink({ state: "live", since: Date.now(), retryAt: 0, reason: "" });
            }
            this.listener.onMessage(event, JSON.parse(data));
        }
        this.lastId = parser.lastId || this.lastId;
        this.retryMs = parser.retryMs;
    }
}
