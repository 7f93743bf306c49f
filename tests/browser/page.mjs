/* What every browser test needs: one Chromium, pages that keep account of what went wrong in them, and patience. */

import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { setTimeout as sleep } from "node:timers/promises";

const require = createRequire(new URL("../../web/package.json", import.meta.url));
const { chromium } = require("playwright-core");
const AXE = require.resolve("axe-core/axe.min.js");
/** So many times slower than this machine is every page, where a test is to show that it waits for states, not for time. */
const SLOW = Number(process.env.TALLY_SLOW ?? 1);
/** So many ms later than asked for every answer comes to the page, to the same end. */
const LATE_MS = Number(process.env.TALLY_LATE ?? 0);
/** What is waited for comes; so long, for a machine that is busy with other things, a test waits before it fails. */
const PATIENCE_MS = 60_000;
/** Of a test as a whole. */
export const PATIENCE = { timeout: 4 * PATIENCE_MS };

/** Chromium with a new, empty profile. */
export const launch = () => chromium.launch({
    executablePath: process.env.TALLY_CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
        "--disable-component-update", "--disable-sync"],
});

/** Waits until the page has drawn what was done: its frame, what that begot after it, and that drawn too. Of what comes
 * over the network it says nothing. */
export const settled = (page) => Promise.race([page.evaluate(() => new Promise((done) => {
    requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done)));
})).catch(() => {}), /* an act may lead out of the document */
sleep(PATIENCE_MS, undefined, { ref: false }).then(() => { throw new Error(`Chromium has drawn no frame of ${page.url()} for ${PATIENCE_MS} ms`); })]);

/** A reader sees what an act did before the next: so do tests, after each. Else they would be faster than the next frame
 * on a slow machine. */
function actAndSee(of, names, pageOf) {
    for (const name of names) {
        const act = of[name];
        of[name] = async function (...given) {
            const answer = await act.apply(this, given);
            await (/Tab$/.test(given[0]) || settled(pageOf(this))); /* Tab moves the focus at once, and is pressed often */
            return answer;
        };
    }
}

let seesLocators = false;
function actsAreSeen(page) {
    const locators = Object.getPrototypeOf(page.locator("html"));
    if (!seesLocators) {
        actAndSee(locators, ["blur", "check", "click", "dblclick", "fill", "focus", "press", "selectOption", "uncheck"], (locator) => locator.page());
        seesLocators = true;
    }
    actAndSee(page, ["goBack", "goForward", "goto", "reload"], () => page);
    actAndSee(page.keyboard, ["press", "type"], () => page);
    actAndSee(page.mouse, ["dblclick", "up"], () => page);
}

/** Goes to another place in the page, as a link does. @param {import("playwright-core").Page} page @param {string} hash */
export async function go(page, hash) {
    await page.evaluate((to) => new Promise((done) => {
        const old = location.hash;
        location.hash = to;
        location.hash === old ? done() : addEventListener("hashchange", () => done(), { once: true });
    }), hash);
    await settled(page);
}

/** Waits until a login link's code has been changed for a session, or refused: it works once, so a page that is reloaded
 * earlier is out. */
const loggedIn = (page) => page.waitForFunction(() => sessionStorage.getItem("tally.session") !== null || document.querySelector("[data-testid=logged-out] h2"));

/** A page in a context of its own; `faults` fills with errors, refused scripts and breaches of the security policy. */
export async function open(browser, url, options = {}) {
    const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
    context.setDefaultTimeout(PATIENCE_MS);
    const page = await context.newPage();
    if (SLOW > 1 || LATE_MS > 0) {
        const inspector = await context.newCDPSession(page);
        await inspector.send("Emulation.setCPUThrottlingRate", { rate: SLOW });
        await inspector.send("Network.enable");
        await inspector.send("Network.emulateNetworkConditions", { offline: false, latency: LATE_MS, downloadThroughput: -1, uploadThroughput: -1 });
    }
    const faults = [];
    page.on("pageerror", (error) => faults.push(String(error)));
    page.on("console", (message) => {
        if (message.type() === "error" && !message.text().startsWith("Failed to load resource")) {
            faults.push(message.text());
        }
    });
    actsAreSeen(page);
    await page.addInitScript(() => {
        addEventListener("securitypolicyviolation", (event) => console.error(`policy: ${event.violatedDirective} ${event.blockedURI}`));
    });
    await page.goto(url);
    if (url.includes("login=")) {
        await loggedIn(page);
    }
    return { page, faults, close: () => context.close() };
}

export const byId = (page, id) => page.locator(`[data-testid="${id}"]`);

/** Moves the focus by Tab until it is on what has this test id, or a test id that begins so. */
export async function tabTo(page, id, most = 120) {
    for (let i = 0; i < most; i++) {
        await page.keyboard.press("Tab");
        if (await page.evaluate((wanted) => document.activeElement?.getAttribute("data-testid")?.startsWith(wanted), id)) {
            return;
        }
    }
    throw new Error(`Tab does not reach ${id}`);
}

/** Changes an input by keyboard alone. */
export async function typeInto(page, id, text) {
    await tabTo(page, id);
    await page.keyboard.press("Control+A");
    await page.keyboard.type(text);
}

/** What a click on a control that saves a file saves. */
export async function saved(page, act) {
    const [file] = await Promise.all([page.waitForEvent("download"), act()]);
    return { name: file.suggestedFilename(), text: await readFile(await file.path(), "utf8") };
}

/** Goes to the list, from wherever the page is, and to a process from there. */
export async function choose(page, name) {
    await byId(page, "to-fleet").click();
    await page.locator('[data-testid="processes"] tbody tr', { hasText: name }).first().click();
}

/** The drawn figure of the chosen process: its raw value, the text, and the seq of the view it is from. */
export const drawn = (page, path) => byId(page, "figures").locator(`[data-field="${path}"]`)
    .evaluate((cell) => ({ value: Number(cell.dataset.value), seq: Number(cell.dataset.seq), text: cell.textContent }));

/** Asks until the answer is true; the last answer is in the failure. */
export async function eventually(what, ask, patience = PATIENCE_MS) {
    const end = Date.now() + patience;
    let answer;
    for (;;) {
        answer = await ask();
        if (answer === true) {
            return;
        }
        if (Date.now() > end) {
            throw new Error(`${what}: still ${JSON.stringify(answer)} after ${patience} ms`);
        }
        await sleep(50);
    }
}

/** What a chart shows, as a number that changes when a pixel does. */
export const pixels = (page, chart) => page.locator(`canvas[data-chart="${chart}"]`).evaluate((canvas) => {
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    return data.reduce((sum, value) => (sum * 31 + value) % 1_000_000_007, 7);
});

/** That the page is wider than the screen, and stays so. */
export const wider = (page) => page.waitForFunction(() => document.documentElement.scrollWidth <= innerWidth, undefined, { timeout: PATIENCE_MS / 4 })
    .then(() => [], () => [`${page.viewportSize().width}: the page is wider than the screen`]);

/** Figures and heads that their cells have no room for, at each of the widths. */
export async function cut(page, widths = [360, 800, 1440]) {
    const found = [];
    for (const width of widths) {
        await page.setViewportSize({ width, height: 900 });
        found.push(...await page.evaluate(() => [...document.querySelectorAll("td.number, th, dd")].filter((cell) => cell.clientWidth > 0 && cell.scrollWidth > cell.clientWidth)
            .map((cell) => `${innerWidth}: ${cell.dataset.column ?? ""} ${cell.textContent.trim()}, ${cell.scrollWidth} in ${cell.clientWidth}`)));
        found.push(...await wider(page));
    }
    return found;
}

/** Breaches of accessibility, of any weight. */
export async function axe(page) {
    const inspector = await page.context().newCDPSession(page); /* the page's own policy lets nobody else in */
    await inspector.send("Runtime.evaluate", { expression: await readFile(AXE, "utf8") });
    await inspector.detach();
    const { violations } = await page.evaluate(async () => { /* colours that are still changing are not judged */
        await Promise.all(document.getAnimations().filter((one) => one instanceof CSSTransition).map((one) => one.finished.catch(() => undefined)));
        return globalThis.axe.run();
    });
    return violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(" ")}`);
}

/** The same in these colours and at this width, at which it has to fit. */
export async function axeIn(page, colorScheme, width) {
    await page.emulateMedia({ colorScheme });
    await page.setViewportSize({ width, height: 900 });
    const found = [...await axe(page), ...await wider(page)];
    await page.setViewportSize({ width: 1280, height: 900 });
    return found;
}
