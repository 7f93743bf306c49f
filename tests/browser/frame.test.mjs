/* What stands around every view: the ways, keys, colours, link and door; beside a tallyd that can be bent, and a real one. */

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { VIEWS } from "../../web/views.js";
import { fakeProcess } from "./fake-tallyd.mjs";
import { PATIENCE, axe, byId, choose, eventually, go, open, tabTo, wider } from "./page.mjs";
import { hashOf, setHidden, staged } from "./stage.mjs";
import { BUILD, World } from "./world.mjs";

const stage = staged();
const WIDTHS = [360, 800, 1440];
const focused = (page) => page.evaluate(() => document.activeElement?.dataset.testid ?? document.activeElement?.tagName);
const processOf = (fake) => `view=process&process=${fake.processes[0].id}`;
const theme = (page) => page.evaluate(() => document.documentElement.dataset.theme);

stage("at another view reading begins at its title, and Back leads back", { place: processOf }, async ({ page, fake }) => {
    await byId(page, "process-view").waitFor();
    assert.equal(await focused(page), "BODY");
    await byId(page, "to-fleet").click();
    await byId(page, "processes").waitFor();
    await eventually("the title is in focus", async () => await focused(page) === "title" || await focused(page));
    assert.equal(await page.title(), "Processes – tally");
    await page.goBack();
    await byId(page, "process-view").waitFor();
    await eventually("the document is named", async () => await page.title() === `${fake.processes[0].name} – Overview – tally` || await page.title());
});

stage("what the address does not know is said", { place: () => "view=nonsense" }, async ({ page, fake }) => {
    await byId(page, "view-problem").getByText("There is no view nonsense").waitFor();
    await page.goto(`${fake.url}#view=process`);
    await byId(page, "none-chosen").getByRole("link", { name: "list of processes" }).click();
    await byId(page, "processes").waitFor();
});

stage("the first Tab skips to the content", {}, async ({ page }) => {
    await byId(page, "processes").waitFor();
    await page.keyboard.press("Tab");
    assert.equal(await focused(page), "skip");
    assert.ok((await byId(page, "skip").boundingBox()).y >= 0, "it is in sight");
    await page.keyboard.press("Enter");
    assert.equal(await focused(page), "title");
    await page.keyboard.press("Tab");
    assert.equal(await focused(page), "processes-filter");
});

stage("a process is found by a part of its name, with keys alone", { processes: Array.from({ length: 150 }, (_, n) => fakeProcess(`worker-${n}`)) }, async ({ page, fake }) => {
    await byId(page, "processes").waitFor();
    await page.keyboard.press("Control+k");
    assert.equal(await focused(page), "palette-input");
    await page.keyboard.type("worker-14");
    await eventually("those that fit are left", async () => await page.locator("#places li").count() === 11 || await page.locator("#places li").count());
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("ArrowDown");
    const picked = await page.locator("#places [aria-selected='true'] .text").textContent();
    assert.equal(await byId(page, "palette-input").getAttribute("aria-activedescendant"), await page.locator("#places [aria-selected='true']").getAttribute("id"));
    await page.keyboard.press("Enter");
    await byId(page, "process-view").waitFor();
    assert.equal(fake.processes.find(({ id }) => id === hashOf(page).get("process")).name, picked);
    await byId(page, "switch").click(); /* the same view of another process */
    await byId(page, "palette-input").fill("worker-77");
    await page.locator("#places li", { hasText: "worker-77" }).click();
    await eventually("the other is shown", async () => fake.processes[77].id === hashOf(page).get("process"));
    assert.equal(hashOf(page).get("view"), "process");
    await byId(page, "find").focus();
    await page.keyboard.press("Enter");
    await page.keyboard.type("nothing like it");
    await byId(page, "palette").getByText("Nothing matches").waitFor();
    await page.keyboard.press("Escape");
    assert.equal(await focused(page), "find", "the focus comes back");
});

stage("keys of one letter go to views, open the list of keys, and can be turned off", {}, async ({ page }) => {
    await byId(page, "processes").waitFor();
    await page.keyboard.press("?");
    for (const { key } of VIEWS) {
        await byId(page, "help").getByText(`g ${key}`, { exact: true }).waitFor();
    }
    await page.keyboard.press("Escape");
    await page.keyboard.press("/");
    assert.equal(await focused(page), "processes-filter");
    await page.keyboard.type("gr?/");
    assert.equal(await byId(page, "processes-filter").inputValue(), "gr?/", "in a field they are letters");
    await page.keyboard.press("Control+a");
    await page.keyboard.press("Delete");
    await byId(page, "title").focus();
    await Promise.all([page.keyboard.press("g"), page.keyboard.press("a")]); /* one after the other, within the time that two keys may take */
    await eventually("the view is there", async () => hashOf(page).get("view") === "audit");
    await page.keyboard.press("?");
    await tabTo(page, "letters");
    await page.keyboard.press("Space");
    await page.keyboard.press("Escape");
    await page.keyboard.type("gp?");
    await page.reload();
    await byId(page, "title").waitFor();
    await page.keyboard.type("gp?");
    assert.equal(hashOf(page).get("view"), "audit");
    assert.equal(await byId(page, "help").count(), 0);
    await page.keyboard.press("Control+k");
    await byId(page, "palette").waitFor();
});

stage("colours follow the system until they are chosen, and the choice stays", { context: { colorScheme: "dark" } }, async ({ page }) => {
    await byId(page, "processes").waitFor();
    assert.equal(await theme(page), "dark");
    await page.emulateMedia({ colorScheme: "light" });
    await eventually("it follows", async () => await theme(page) === "light");
    await byId(page, "theme").selectOption("dark");
    assert.equal(await theme(page), "dark");
    assert.equal(await page.evaluate(() => getComputedStyle(document.body).backgroundColor), "rgb(17, 22, 27)");
    await page.reload();
    await byId(page, "processes").waitFor();
    assert.equal(await theme(page), "dark");
    await byId(page, "theme").selectOption("system");
    assert.equal(await theme(page), "light");
});

stage("a hidden tab has no stream and asks nothing; shown again it has the whole state", {}, async ({ page, fake }) => {
    const whole = ["/v1/info", "/v1/session", "/v1/processes", "/v1/alerts", "/v1/operations", "/v1/stream"].map((path) => `GET ${path}`);
    const missing = (since) => whole.filter((line) => !fake.log.slice(since).includes(line));
    await byId(page, "processes").waitFor();
    await eventually("nothing is under way any more", async () => missing(0).length === 0 || missing(0));
    await setHidden(page, true);
    await eventually("the stream is closed", async () => fake.streams.size === 0);
    const asked = fake.log.length;
    fake.processes.push(fakeProcess("meanwhile"));
    await sleep(3500);
    assert.equal(fake.log.length, asked, fake.log.slice(asked).join());
    assert.equal(await page.locator("tr", { hasText: "meanwhile" }).count(), 0);
    await setHidden(page, false);
    await page.locator("tr", { hasText: "meanwhile" }).waitFor();
    await eventually("all of it is asked for", async () => missing(asked).length === 0 || missing(asked));
    assert.equal(fake.streams.size, 1);
});

stage("there is one stream, of what the view needs", { place: processOf }, async ({ page, fake }) => {
    await byId(page, "process-view").waitFor();
    const topics = () => [...fake.streams].map((stream) => stream.topics);
    await eventually("the process is followed", async () => topics().length === 1 && topics()[0].some((topic) => topic.startsWith("stats:")));
    assert.ok(!topics()[0].includes("fleet"));
    await byId(page, "to-fleet").click();
    await eventually("the list is followed", async () => topics().length === 1 && topics()[0].includes("fleet"));
    assert.ok(!topics()[0].some((topic) => topic.includes(":")));
    fake.processes[0].name = "renamed";
    await page.locator("tr", { hasText: "renamed" }).waitFor();
});

stage("offline, the page says since when and when it tries again, keeps what it has, and comes back", {}, async ({ page, fake }) => {
    await page.locator("tr", { hasText: "bakery" }).waitFor();
    await page.evaluate(() => { /* it does not try by itself while we look: the button is what brings it back */
        const { setTimeout: later } = globalThis;
        globalThis.setTimeout = (act, ms, ...given) => later(act, ms > 600 ? 2 ** 31 - 1 : ms, ...given);
    });
    await fake.stop();
    await eventually("it is said", async () => /^Offline since \d\d:\d\d:\d\d: .+\. What is shown was true then\. (Next try in \d s|Trying now)\./
        .test((await byId(page, "offline").textContent()).replace(/\s+/g, " ")));
    assert.equal(await page.locator("tr", { hasText: "bakery" }).count(), 1);
    await page.locator('[data-testid="link"][data-state="offline"]').waitFor();
    await fake.start();
    await byId(page, "offline").getByRole("button", { name: "Try now" }).click();
    await byId(page, "offline").waitFor({ state: "detached" });
    await page.locator('[data-testid="link"][data-state="live"]').waitFor();
});

stage("alerts are counted beside the way to them, as they come and go", {}, async ({ page, fake }) => {
    await byId(page, "processes").waitFor();
    const alert = { id: 7, state: "firing", rule: "big", process: fake.processes[0].id, name: "bakery", type: null, series: "live_bytes", condition: "live_bytes above 1", value: 2,
        began_at: new Date().toISOString(), resolved_at: null, reason: null };
    assert.equal(await byId(page, "alert-count").count(), 0);
    fake.alerts = [alert];
    fake.streams.forEach((stream) => fake.send(stream, "alert", alert));
    await byId(page, "alert-count").getByText("1 firing").waitFor();
    await page.locator(`tr[data-id="${fake.processes[0].id}"] .count-badge`).waitFor();
    fake.alerts = [];
    fake.streams.forEach((stream) => fake.send(stream, "alert", { ...alert, state: "resolved" }));
    await byId(page, "alert-count").waitFor({ state: "detached" });
});

for (const colorScheme of ["light", "dark"]) {
    stage(`the frame, the list of keys and the palette have no fault of accessibility in ${colorScheme} colours`, { place: processOf, context: { colorScheme } }, async ({ page }) => {
        await byId(page, "process-view").waitFor();
        for (const width of WIDTHS) {
            await page.setViewportSize({ width, height: 800 });
            await byId(page, "to-fleet").click();
            await byId(page, "processes").waitFor();
            assert.deepEqual(await axe(page), [], `${width}`);
            assert.deepEqual(await wider(page), []);
            for (const button of width === 360 ? ["keys", "find"] : []) {
                await byId(page, button).click();
                await page.locator("dialog[open]").waitFor();
                assert.deepEqual(await axe(page), [], `${button} at ${width}`);
                await page.keyboard.press("Escape");
                await page.locator("dialog[open]").waitFor({ state: "detached" });
            }
        }
    });
}

stage("who asked for less motion has none", { context: { reducedMotion: "reduce" } }, async ({ page }) => {
    await byId(page, "processes").waitFor();
    await byId(page, "find").hover();
    assert.equal(await page.evaluate(() => document.getAnimations().length), 0);
    assert.equal(await page.evaluate(() => [...document.querySelectorAll("*")].filter((one) => parseFloat(getComputedStyle(one).transitionDuration) > 0).length), 0);
});

const built = ["tallyd", "tally-mal"].every((program) => existsSync(join(BUILD, program)));
const skip = !built && !process.env.TALLY_REQUIRE_ALL && `no programs in ${BUILD}`;

describe("the frame of the real tallyd", { skip }, () => {
    const world = new World();
    before(async () => {
        await world.start();
        world.program("bakery", "kind=idle");
        await eventually("the program is listed", async () => (await world.api("/v1/processes")).processes.length === 1);
    });
    after(() => world.stop());

    test("the whole page is small", PATIENCE, async () => {
        const { page, faults, close } = await open(world.browser, await world.link());
        let bytes = 0;
        await byId(page, "processes").waitFor();
        for (const { encodedBodySize } of await page.evaluate(() => performance.getEntriesByType("resource").filter(({ name }) => /\.(js|css|svg)$/.test(name)).map((entry) => entry.toJSON()))) {
            bytes += encodedBodySize;
        }
        assert.ok(bytes > 50_000 && bytes < 150_000, `${bytes} bytes`);
        assert.deepEqual(faults, []);
        await close();
    });

    test("an address that names a process by its pid leads to it", PATIENCE, async () => {
        const [{ id, pid }] = (await world.api("/v1/processes")).processes;
        const { page, close } = await open(world.browser, await world.link());
        await byId(page, "processes").waitFor();
        await go(page, `view=events&process=${pid}`);
        await eventually("the id takes its place", async () => new URLSearchParams((await page.evaluate(() => location.hash)).slice(1)).get("process") === id);
        await eventually("the program's name", async () => await page.title() === "bakery – Events – tally" || await page.title());
        await close();
    });

    test("every view has a way to it, a title and a key, and no two share one", PATIENCE, async () => {
        const { page, faults, close } = await open(world.browser, await world.link());
        for (const { id, title, needsProcess } of VIEWS) {
            if (needsProcess && await byId(page, "process-nav").count() === 0) {
                await choose(page, "bakery");
            }
            await byId(page, `to-${id}`).click();
            await page.locator(`[data-testid="to-${id}"][aria-current="page"]`).waitFor();
            await eventually("the view is there", async () => await byId(page, "view-loading").count() === 0 && (await page.title()).endsWith(" – tally"));
            assert.equal(await page.locator("[aria-current='page']").count(), 1, title);
            assert.equal(await byId(page, "view-problem").count(), 0, title);
            assert.equal(hashOf(page).get("view"), id);
        }
        assert.equal(new Set(VIEWS.map(({ key }) => key)).size, VIEWS.length);
        assert.deepEqual(faults, []);
        await close();
    });
});
