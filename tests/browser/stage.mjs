/* A browser for a file of tests, each of which gets a bendable tallyd and a logged-in page of its own. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { demoProcesses, startFake } from "./fake-tallyd.mjs";
import { PATIENCE, launch, open } from "./page.mjs";

/** Gives `stage(name, options, body)`. Options: `processes`; `place`, where the login leads; `url(fake)` instead of it;
 * `context` of the page. What went wrong in the page fails the test. */
export function staged() {
    let browser;
    before(async () => { browser = await launch(); });
    after(() => browser?.close());
    return (name, options, body) => test(name, PATIENCE, async () => {
        const fake = await startFake(options.processes ?? demoProcesses());
        let opened;
        try {
            opened = await open(browser, options.url ? options.url(fake) : fake.link(options.place?.(fake) ?? ""), options.context);
            await body({ fake, ...opened });
            assert.deepEqual(opened.faults, []);
        } finally {
            await opened?.close();
            await fake.stop();
        }
    });
}

/** The tab is looked at or not, as far as the page can tell. */
export const setHidden = (page, hidden) => page.evaluate((value) => {
    Object.defineProperty(document, "hidden", { value, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
}, hidden);

export const hashOf = (page) => new URLSearchParams(new URL(page.url()).hash.slice(1));
