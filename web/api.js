/* The page's only road to the network.
 *
 * The link that `tallyctl login` prints carries a code that works once; it is changed for a session token, which
 * lives in this tab (sessionStorage) and goes as Bearer with every request, the stream's included. No cookies. */

const TOKEN = "tally.session";
/** The code of a login that has not been answered: a page that was reloaded meanwhile may still use it. */
const CODE = "tally.login";
const PATIENCE_MS = 10_000;

/** What tallyd refused, from its problem document; status 0 means that no answer came. */
export class Problem extends Error {
    /** @param {number} status @param {string} code @param {string} text @param {string} [pointer] to the member of the body that it is about */
    constructor(status, code, text, pointer) {
        super(text);
        this.status = status;
        this.code = code;
        this.pointer = pointer;
    }
}

/** Hears that tallyd does not know the session any more; the wiring sets it. @type {(problem: Problem) => void} */
let onUnauthorized = () => {};
/** @param {(problem: Problem) => void} listener */
export const whenUnauthorized = (listener) => { onUnauthorized = listener; };

export const hasSession = () => sessionStorage.getItem(TOKEN) !== null;
export const forgetSession = () => sessionStorage.removeItem(TOKEN);

/** @param {Response} response */
async function problemOf(response) {
    const document = await response.json().catch(() => ({}));
    const text = document.post_mortem ? `${document.title}; the overview tells how it ended` /* its detail is for who types addresses */
        : document.detail ?? document.title ?? `tallyd answered ${response.status}`;
    return new Problem(response.status, document.code ?? "", String(text), document.pointer);
}

/** @param {string} method @param {string} path @param {{body?: object, signal?: AbortSignal, headers?: Record<string, string>}} [more] */
async function send(method, path, { body, signal, headers = {} } = {}) {
    const token = sessionStorage.getItem(TOKEN);
    if (token !== null) {
        headers.Authorization = `Bearer ${token}`;
    }
    if (body) {
        headers["Content-Type"] = "application/json";
    }
    let response;
    try { /* tallyd takes a + for what it is, as RFC 3986 does; URLSearchParams writes blanks as + */
        response = await fetch(path.replaceAll("+", "%20"), { method, headers, signal, body: body && JSON.stringify(body), cache: "no-store", credentials: "omit" });
    } catch (error) {
        if (signal?.aborted && signal.reason?.name === "AbortError") {
            throw new Problem(0, "aborted", "the request was broken off");
        }
        const late = error instanceof DOMException && error.name === "TimeoutError";
        throw new Problem(0, late ? "timeout" : "unreachable", late ? "tallyd does not answer" : "tallyd cannot be reached");
    }
    if (!response.ok) {
        const problem = await problemOf(response);
        if (problem.status === 401 && `${method} ${path}` !== "POST /v1/session" && sessionStorage.getItem(TOKEN) === token) { /* not of a session before this one */
            onUnauthorized(problem);
        }
        throw problem;
    }
    return response;
}

/** @param {string} method @param {string} path @param {object} [body] @param {number} [patience] @param {AbortSignal} [stopped]
 * @param {Record<string, string>} [headers] @returns {Promise<any>} */
async function json(method, path, body, patience = PATIENCE_MS, stopped, headers) {
    const late = AbortSignal.timeout(patience);
    const response = await send(method, path, { body, signal: stopped ? AbortSignal.any([stopped, late]) : late, headers });
    try {
        return response.status === 204 ? null : await response.json();
    } catch {
        throw new Problem(0, "unreachable", "tallyd's answer broke off");
    }
}

/** For views: an answer's JSON. @param {string} path @param {AbortSignal} [signal] @returns {Promise<any>} */
export const get = (path, signal) => json("GET", path, undefined, PATIENCE_MS, signal);
/** @param {"POST"|"PUT"|"PATCH"|"DELETE"} method @param {string} path @param {object} [body] @param {Record<string, string>} [headers] such as If-Match
 * @returns {Promise<any>} */
export const ask = (method, path, body, headers) => json(method, path, body, PATIENCE_MS, undefined, headers);
/** What is not JSON, for a file. @param {string} path @param {AbortSignal} [signal] @returns {Promise<Blob>} */
export const blob = async (path, signal) => (await send("GET", path, { signal })).blob();

/** The path of a process. @param {string} id */
export const one = (/** @type {string} */ id) => `/v1/processes/${encodeURIComponent(id)}`;

/** Changes the link's code for a session. @param {string} code */
export async function login(code) {
    sessionStorage.setItem(CODE, code);
    try {
        const { token } = await json("POST", "/v1/session", { code });
        sessionStorage.setItem(TOKEN, token);
    } catch (problem) {
        if (/** @type {Problem} */ (problem).status) { /* else nobody has said that it is used up */
            sessionStorage.removeItem(CODE);
        }
        throw problem;
    }
    sessionStorage.removeItem(CODE);
}

export const unansweredLogin = () => sessionStorage.getItem(CODE);

/** @returns {Promise<import("./types").Info>} */
export const info = () => json("GET", "/v1/info");
/** @returns {Promise<import("./types").Who>} */
export const session = () => json("GET", "/v1/session");
/** Those that fire. @returns {Promise<{alerts: import("./types").Alert[]}>} */
export const alerts = () => json("GET", "/v1/alerts?state=firing&limit=1000");
/** All of them, whatever the pages. @returns {Promise<import("./types").Fleet>} */
export async function processes() {
    const first = await json("GET", "/v1/processes?limit=1000");
    for (let cursor = first.next_cursor; cursor;) {
        const page = await json("GET", `/v1/processes?limit=1000&cursor=${encodeURIComponent(cursor)}`);
        first.processes.push(...page.processes);
        cursor = page.next_cursor;
    }
    return first;
}
/** @param {string} id @returns {Promise<import("./types").Stats>} */
export const stats = (id) => json("GET", `${one(id)}/stats`);
/** @param {string} id @returns {Promise<import("./types").Collections>} */
export const collections = (id) => json("GET", `${one(id)}/collections?limit=256`);
/** @returns {Promise<{operations: import("./types").Operation[]}>} */
export const operations = () => json("GET", "/v1/operations?limit=50");
/** The operation once it has ended, or as it stands after 5 s. @param {string} id @returns {Promise<import("./types").Operation>} */
export const operation = (id) => json("GET", `/v1/operations/${encodeURIComponent(id)}?wait=5s`, undefined, PATIENCE_MS + 5000);
/** The operation as it stands. @param {string} id @param {AbortSignal} [signal] @returns {Promise<import("./types").Operation>} */
export const operationNow = (id, signal) => get(`/v1/operations/${encodeURIComponent(id)}`, signal);
/** One control for many. @param {string[]} ids @param {string} kind @param {object} members @returns {Promise<import("./types").Operation>} */
export const batch = (ids, kind, members) => json("POST", "/v1/batch", { selector: { ids }, kind, ...members });
/** @param {string} id */
export const cancel = (id) => send("DELETE", `/v1/operations/${encodeURIComponent(id)}`, { signal: AbortSignal.timeout(PATIENCE_MS) });

/** Opens the stream; the caller reads the bytes. A topic may bring a filter: "events:ID?kind=alloc".
 * @param {string[]} topics @param {string} lastId @param {AbortSignal} signal */
export async function openStream(topics, lastId, signal) {
    /** @type {Record<string, string>} */
    const headers = { Accept: "text/event-stream" };
    if (lastId) {
        headers["Last-Event-ID"] = lastId;
    }
    const parts = topics.map((topic) => topic.split("?"));
    const filter = parts.map(([, query]) => query && `&${query}`).join("");
    const response = await send("GET", `/v1/stream?topics=${parts.map(([topic]) => encodeURIComponent(topic)).join(",")}${filter}`, { headers, signal });
    if (!response.body) {
        throw new Problem(0, "unreachable", "the stream has no body");
    }
    return response.body;
}
