/* What the tests of types, cycles, suspects, snapshots and comparisons share: a page on a fake or on a real tallyd. */

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { startFake } from "./fake-tallyd.mjs";
import { axe, eventually, open, wider } from "./page.mjs";
import { BUILD } from "./world.mjs";

export { PATIENCE } from "./page.mjs";

const built = ["tallyd", "tally-mal"].every((program) => existsSync(join(BUILD, program)));
export const unbuilt = !built && !process.env.TALLY_REQUIRE_ALL && `no programs in ${BUILD}`;

/** A program that leaks: what it keeps grows, and its knots are garbage that only the cycle collector finds. */
export const LEAK = `(def! kept (atom (list)))
(def! keep (fn* [n] (if (> n 0) (do (reset! kept (cons (list n "kept") @kept)) (keep (- n 1))) nil)))
(def! knot (fn* [] (let* [a (atom nil) b (atom a)] (do (reset! a (list b)) nil))))
(def! knots (fn* [n] (if (> n 0) (do (knot) (knots (- n 1))) nil)))
`;

/** A page of one view on a fake tallyd. @param {import("playwright-core").Browser} browser @param {(p: {id: string}) => string} hashOf @param {(fake: any) => void} [bend] */
export async function fakePage(browser, hashOf, bend = () => {}) {
    const fake = await startFake();
    const [process] = fake.processes;
    bend(fake, process);
    const opened = await open(browser, fake.link(hashOf(process)));
    const end = async () => {
        await opened.close();
        await fake.stop();
    };
    return { ...opened, fake, process, end };
}

/** No breach of accessibility in either theme, and room for it on a telephone. */
export async function accessible(page, what) {
    for (const colorScheme of ["light", "dark"]) {
        await page.emulateMedia({ colorScheme });
        await page.evaluate(() => new Promise(requestAnimationFrame)); /* colours change by transitions, which end */
        await page.evaluate(() => Promise.all(document.getAnimations().filter((one) => one instanceof CSSTransition).map((one) => one.finished.catch(() => {}))));
        assert.deepEqual(await axe(page), [], `${what}, ${colorScheme}`);
    }
    await page.setViewportSize({ width: 360, height: 900 });
    assert.deepEqual(await wider(page), [], what);
    await page.setViewportSize({ width: 1280, height: 900 });
}

/** What the page gives as a file: its name and its text. */
export async function saved(page, click) {
    const [download] = await Promise.all([page.waitForEvent("download"), click()]);
    const pieces = [];
    for await (const piece of await download.createReadStream()) {
        pieces.push(piece);
    }
    return { name: download.suggestedFilename(), text: Buffer.concat(pieces).toString() };
}

/** Moves the focus on by Tab until it is there. @param {import("playwright-core").Page} page @param {string} selector */
export async function tabTo(page, selector, most = 80) {
    for (let turn = 0; turn < most; turn++) {
        if (await page.evaluate((css) => document.activeElement?.matches(css) ?? false, selector)) {
            return;
        }
        await page.keyboard.press("Tab");
    }
    assert.fail(`Tab does not come to ${selector}`);
}

/** A key of the address. */
export const inAddress = (page, key) => page.evaluate((name) => new URLSearchParams(location.hash.slice(1)).get(name), key);

/** Waits until the address says so. */
export const addressed = (page, key, value) => eventually(`${key} in the address`, async () => {
    const now = await inAddress(page, key);
    return now === value || now;
});
