/* The page's only road to the network.
 *
 * The link that `tallyctl login` prints carries a code that works once; it is changed for a session token, which
 * lives in this tab (sessionStorage) and goes as Bearer with every request, the stream's included. No cookies. */

const TOKEN = "tally.session";
const PATIENCE_MS = 10_000;

/** What tallyd refused, from its problem document; status 0 means that no answer came. */
export class Problem extends Error {
    /** @param {number} status @param {string} code @param {string} text */
    constructor(status, code, text) {
        super(text);
        this.status = status;
        this.code = code;
    }
}

export const hasSession = () => sessionStorage.getItem(TOKEN) !== null;
export const forgetSession = () => sessionStorage.removeItem(TOKEN);

/** @param {Response} response */
async function problemOf(response) {
    const document = await response.json().catch(() => ({}));
    const text = document.detail ?? document.title ?? `tallyd answered ${response.status}`;
    return new Problem(response.status, document.code ?? "", String(text));
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
    try {
        response = await fetch(path, { method, headers, signal, body: body && JSON.stringify(body), cache: "no-store", credentials: "omit" });
    } catch (error) {
        const late = error instanceof DOMException && error.name === "TimeoutError";
        throw new Problem(0, late ? "timeout" : "unreachable", late ? "tallyd does not answer" : "tallyd cannot be reached");
    }
    if (!response.ok) {
        throw await problemOf(response);
    }
    return response;
}

/** @param {string} method @param {string} path @param {object} [body] @param {number} [patience] @returns {Promise<any>} */
async function json(method, path, body, patience = PATIENCE_MS) {
    const response = await send(method, path, { body, signal: AbortSignal.timeout(patience) });
    try {
        return await response.json();
    } catch {
        throw new Problem(0, "unreachable", "tallyd's answer broke off");
    }
}

const one = (/** @type {string} */ id) => `/v1/processes/${encodeURIComponent(id)}`;

/** Changes the link's code for a session. @param {string} code */
export async function login(code) {
    const { token } = await json("POST", "/v1/session", { code });
    sessionStorage.setItem(TOKEN, token);
}

/** @returns {Promise<import("./types").Info>} */
export const info = () => json("GET", "/v1/info");
/** @returns {Promise<import("./types").Fleet>} */
export const processes = () => json("GET", "/v1/processes?limit=1000");
/** @param {string} id @returns {Promise<import("./types").Stats>} */
export const stats = (id) => json("GET", `${one(id)}/stats`);
/** @param {string} id @returns {Promise<import("./types").Types>} */
export const types = (id) => json("GET", `${one(id)}/types`);
/** @param {string} id @returns {Promise<import("./types").Collections>} */
export const collections = (id) => json("GET", `${one(id)}/collections?limit=256`);
/** @returns {Promise<{operations: import("./types").Operation[]}>} */
export const operations = () => json("GET", "/v1/operations?limit=50");
/** The operation once it has ended, or as it stands after 5 s. @param {string} id @returns {Promise<import("./types").Operation>} */
export const operation = (id) => json("GET", `/v1/operations/${encodeURIComponent(id)}?wait=5s`, undefined, PATIENCE_MS + 5000);
/** @param {string} id */
export const cancel = (id) => send("DELETE", `/v1/operations/${encodeURIComponent(id)}`, { signal: AbortSignal.timeout(PATIENCE_MS) });

/** Asks for a collection; the operation is followed by its id. @param {string} id @param {number} generation @returns {Promise<import("./types").Operation>} */
export const collect = (id, generation) => json("POST", `${one(id)}/collect`, { generation });

/** Changes the configuration: the one in force afterwards, or the operation that is still at it.
 * @param {string} id @param {object} change @returns {Promise<import("./types").Config & Partial<import("./types").Operation>>} */
export const configure = (id, change) => json("PATCH", `${one(id)}/config`, change, PATIENCE_MS + 5000);

/** Opens the stream; the caller reads the bytes. @param {string[]} topics @param {string} lastId @param {AbortSignal} signal */
export async function openStream(topics, lastId, signal) {
    /** @type {Record<string, string>} */
    const headers = { Accept: "text/event-stream" };
    if (lastId) {
        headers["Last-Event-ID"] = lastId;
    }
    const response = await send("GET", `/v1/stream?topics=${topics.map(encodeURIComponent).join(",")}`, { headers, signal });
    if (!response.body) {
        throw new Problem(0, "unreachable", "the stream has no body");
    }
    return response.body;
}
