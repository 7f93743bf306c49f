/* The page against a tallyd that can be bent: who may enter, what is shown when something is missing, late or hostile. */

import assert from "node:assert/strict";
import { bytes } from "../../web/format.js";
import { fakeProcess } from "./fake-tallyd.mjs";
import { axe, byId, drawn, eventually, go, pixels, saved, wider } from "./page.mjs";
import { staged } from "./stage.mjs";

const CHARTS = ["live_bytes", "live_objects", "allocation_rate", "free_rate"];
const placeOf = (p, fake) => `view=process&process=${fake.processes[p].id}`;
const staging = staged();
const state = (name, options, body) => staging(name, { place: (fake) => fake.processes[0] ? placeOf(0, fake) : "", ...options }, body);

const viewOf = (p, fake) => `[data-testid="process-view"][data-id="${fake.processes[p].id}"]`;

state("the link logs in once, leaves the address, and a reload stays logged in", {}, async ({ page, fake }) => {
    await page.waitForSelector(viewOf(0, fake));
    assert.equal(page.url(), `${fake.url}#${placeOf(0, fake)}`);
    assert.equal(fake.codes.size, 0);
    await page.reload();
    await page.waitForSelector(viewOf(0, fake));
    assert.deepEqual(await page.context().cookies(), []);
});

state("without a session the page says what to type", { url: (fake) => fake.url }, async ({ page, fake }) => {
    await byId(page, "logged-out").getByText("tallyctl login").waitFor();
    assert.deepEqual(fake.log, []);
});

state("a used link says so, and a fresh one in the same tab enters", { url: (fake) => `${fake.url}#login=used` }, async ({ page, fake }) => {
    await byId(page, "login-problem").waitFor();
    assert.match(await byId(page, "login-problem").textContent(), /no longer works: the code is unknown/);
    assert.ok(!page.url().includes("used"));
    await page.goto(fake.link());
    await byId(page, "processes").waitFor();
});

for (const [what, used] of [["enters all the same where its code was not used yet", false], ["says so where its code is used up", true]]) {
    state(`a page that is reloaded before its login is through ${what}`, { url: (fake) => fake.url }, async ({ page, fake }) => {
        await byId(page, "logged-out").getByText("tallyctl login").waitFor();
        fake.frozen = true;
        await page.goto(fake.link());
        await eventually("the code is sent", () => fake.log.includes("POST /v1/session"));
        fake.frozen = false;
        if (used) {
            fake.codes.clear();
        }
        await page.reload();
        if (used) {
            await byId(page, "login-problem").getByText("reloaded before it was logged in").waitFor();
            assert.equal(await page.evaluate(() => sessionStorage.length), 0);
            await page.goto(fake.link());
        }
        await byId(page, "processes").waitFor();
        assert.deepEqual(await page.evaluate(() => Object.keys(sessionStorage)), ["tally.session"]);
    });
}

state("a session that tallyd forgot ends at the door", {}, async ({ page, fake }) => {
    await page.waitForSelector(viewOf(0, fake));
    fake.tokens.clear();
    await page.reload();
    await byId(page, "login-problem").waitFor();
    assert.equal(await page.evaluate(() => sessionStorage.length), 0);
});

state("processes are chosen by click, by keyboard and by address", {}, async ({ page, fake }) => {
    await page.goto(`${fake.url}#view=fleet`);
    await page.locator(`[data-testid="processes"] tr[data-id="${fake.processes[1].id}"]`).click();
    await page.waitForSelector(viewOf(1, fake));
    assert.equal(await page.title(), "orchard – Overview – tally");
    await page.goBack();
    await byId(page, "processes").focus();
    await page.keyboard.press("Home");
    await page.keyboard.press("Enter");
    await page.waitForSelector(viewOf(0, fake));
    await page.goto(`${fake.url}#process=${fake.processes[2].id}`);
    await page.waitForSelector(viewOf(2, fake));
});

state("drawn figures are the API's at the same seq", {}, async ({ page, fake }) => {
    await page.waitForSelector(viewOf(0, fake));
    fake.quiet = true;
    await eventually("the last frame is drawn", async () => (await drawn(page, "live_bytes")).seq === fake.seq);
    const p = fake.processes[0];
    const live = (p.allocations - p.refcount - p.cycle) * 64;
    assert.deepEqual(await drawn(page, "live_bytes"), { value: live, seq: fake.seq, text: bytes(live) });
    assert.equal((await drawn(page, "frees.cycle")).value, p.cycle);
});

state("all four charts move, and say in words what they show", {}, async ({ page, fake }) => {
    await page.waitForSelector(viewOf(0, fake));
    for (const chart of CHARTS) {
        const first = await pixels(page, chart);
        await eventually(`${chart} moves`, async () => await pixels(page, chart) !== first);
    }
    const words = page.locator('[data-figure="live_bytes"] .unseen', { hasText: "Live bytes" }).first();
    await eventually("words", async () => /^Live bytes, .* now .*, least .* at .*, most .* at /.test(await words.textContent()) || await words.textContent());
});

state("the cursor in one chart reads all four at the same moment", {}, async ({ page, fake }) => {
    await page.waitForSelector(viewOf(0, fake));
    const { seq } = fake;
    await eventually("there is a past", async () => (await drawn(page, "live_bytes")).seq >= seq + 14);
    fake.quiet = true;
    await eventually("the last frame is drawn, in the chart too", async () => {
        const { seq: last, text } = await drawn(page, "live_bytes");
        return last === fake.seq && await page.locator("[data-figure=live_bytes] .value").textContent() === text;
    });
    const values = () => page.locator("[data-figure=live_bytes] .value, [data-figure=live_objects] .value, [data-figure=allocation_rate] .value, [data-figure=free_rate] .value").allTextContents();
    const newest = await values();
    const box = await page.locator('canvas[data-chart="live_bytes"]').boundingBox();
    let back = 30; /* somewhere left of the newest row, but on the line */
    await eventually("every value is an older one", async () => {
        back = back < box.width / 2 ? back + 8 : 30;
        await page.mouse.move(box.x + box.width - back, box.y + 60);
        return (await values()).every((value, n) => value !== newest[n]) || await values();
    });
    await page.mouse.move(5, 5);
    await eventually("the newest again", async () => String((await values()).slice(0, 2)) === String(newest.slice(0, 2)) || await values());
});

state("what comes while the page is busy stands where it was, not where the page got to it", {}, async ({ page, fake }) => {
    const { seq } = fake;
    await eventually("there is a past", async () => (await drawn(page, "live_bytes")).seq >= seq + 6);
    const [first, from] = [fake.seq, Date.now()];
    await page.evaluate(() => { for (const end = performance.now() + 2500; performance.now() < end;); });
    const [last, to] = [fake.seq, Date.now()];
    await eventually("all is drawn", async () => (await drawn(page, "live_bytes")).seq >= last + 4);
    const { text } = await saved(page, () => page.locator('[data-figure="live_bytes"]').getByRole("button", { name: /^CSV/ }).click());
    const times = text.trim().split("\r\n").slice(1).map((line) => Date.parse(line.split(",")[0])).filter((t) => t > from && t < to);
    assert.ok(times.length >= last - first - 2, `${times.length} of ${last - first} frames`);
});

state("one that dies while it is asked about is not changed, and that is said", {}, async ({ page, fake }) => {
    await page.waitForSelector(viewOf(0, fake));
    await byId(page, "disable").click();
    await byId(page, "confirm").waitFor();
    fake.processes[0].state = "gone";
    await byId(page, "confirm-yes").click();
    await page.locator("#announcer", { hasText: "Disable: The process is gone; the overview tells how it ended" }).waitFor();
    assert.equal(fake.processes[0].enabled, true);
});

state("collect, disable and enable tell what they did", {}, async ({ page, fake }) => {
    await page.waitForSelector(viewOf(0, fake));
    const answer = byId(page, "answer");
    await byId(page, "disable").click();
    await byId(page, "confirm-no").click();
    assert.equal(fake.processes[0].enabled, true);
    await byId(page, "disable").click();
    await byId(page, "confirm-yes").click();
    await answer.getByText("Disable: in force: automatic collection disabled").waitFor();
    assert.equal(fake.processes[0].enabled, false);
    await page.locator('[data-testid="disable"][aria-pressed="true"]').waitFor();
    await byId(page, "collect").click();
    await answer.getByText(/^Collect generation 2: collected [\d,]+ objects .* waited 2.00 ms for a safepoint$/).waitFor();
    await byId(page, "generation").selectOption("0");
    await byId(page, "collect").click();
    await answer.getByText(/^Collect generation 0: collected/).waitFor();
    await byId(page, "enable").click();
    await answer.getByText("Enable: in force: automatic collection enabled").waitFor();
    await eventually("operations are listed", async () => await byId(page, "operations").locator("li").count() === 4);
});

state("the manager in force is shown while another is asked for, and where heaps differ", {}, async ({ page, fake }) => {
    await page.waitForSelector(viewOf(0, fake));
    const manager = byId(page, "setting-manager").locator("select");
    assert.deepEqual(await manager.locator("option").allTextContents(), ["none", "refcount", "generational", "cycle", "full"]);
    assert.equal(await manager.inputValue(), "cycle");
    fake.safepoints = false;
    await manager.selectOption("full");
    await byId(page, "set-manager").click();
    await byId(page, "confirm-cost").waitFor();
    await byId(page, "confirm-yes").click();
    await byId(page, "settings-answer").getByText("Manager: waiting for a safepoint").waitFor();
    assert.equal(await byId(page, "in-force-manager").textContent(), "cycle");
    fake.processes[0].manager = null;
    await byId(page, "in-force-manager").getByText("heaps differ").waitFor();
});

state("what is typed stays while frames pass, until it is set or given up", {}, async ({ page, fake }) => {
    await page.waitForSelector(viewOf(0, fake));
    const pause = byId(page, "setting-max_pause").locator("input");
    assert.equal(await pause.inputValue(), "0");
    await pause.fill("750");
    const { seq } = await drawn(page, "allocations");
    await eventually("frames pass", async () => (await drawn(page, "allocations")).seq > seq + 3);
    assert.equal(await pause.inputValue(), "750");
    await byId(page, "set-max_pause").click();
    await byId(page, "settings-answer").getByText("Maximum pause: in force: 750 µs").waitFor();
    await byId(page, "in-force-max_pause").getByText("750 µs").waitFor();
    assert.equal(fake.processes[0].max_pause_us, 750);
    await pause.fill("99");
    await pause.press("Escape");
    await eventually("it is given up", async () => await pause.inputValue() === "750" || await pause.inputValue());
});

state("an operation that waits is shown waiting until it expires or is cancelled", {}, async ({ page, fake }) => {
    await page.waitForSelector(viewOf(0, fake));
    fake.safepoints = false;
    fake.deadlineMs = 60_000;
    await byId(page, "collect").click();
    await byId(page, "answer").getByText("waiting for a safepoint").waitFor();
    fake.expire();
    await byId(page, "answer").getByText("expired: the owner reached no safepoint").waitFor();
    assert.equal(await byId(page, "answer").getAttribute("data-tone"), "bad");
    await byId(page, "collect").click();
    await byId(page, "answer").locator('[data-testid="cancel"]').click();
    await byId(page, "answer").getByText("cancelled").waitFor();
});

state("a refused control shows the reason", {}, async ({ page, fake }) => {
    await page.waitForSelector(viewOf(0, fake));
    fake.refuse = 403;
    await byId(page, "collect").click();
    await byId(page, "answer").getByText("Collect generation 2: this listener is read-only").waitFor();
});

state("the page outlives a restart of tallyd and says how long it was offline", {}, async ({ page, fake }) => {
    await page.waitForSelector(viewOf(0, fake));
    fake.seq = 1_000_000; /* more than the new one comes to while we look */
    await eventually("it is drawn", async () => (await drawn(page, "allocations")).seq >= fake.seq - 8);
    const before = await drawn(page, "allocations");
    await fake.stop();
    await byId(page, "link").getByText(/^offline since \d\d:\d\d:\d\d, retrying/).waitFor();
    fake.seq = 1;
    await fake.start();
    await page.locator('[data-testid="link"][data-state="live"]').waitFor();
    await eventually("numbers of the new tallyd", async () => {
        const now = await drawn(page, "allocations");
        return now.seq < before.seq && now.value > before.value;
    });
    assert.match(fake.lastEventId, /^[0-9a-f]+-\d+$/);
});

state("a program may be back later than tallyd and the page", {}, async ({ page, fake }) => {
    await page.waitForSelector(viewOf(0, fake));
    await fake.stop();
    fake.attached = false;
    await fake.start();
    await byId(page, "totals").getByText("0 live").waitFor();
    await byId(page, "stale").getByText("No such process").waitFor();
    fake.attached = true;
    await byId(page, "stale").waitFor({ state: "detached" });
    const { value } = await drawn(page, "allocations");
    await eventually("the numbers go on", async () => (await drawn(page, "allocations")).value > value);
    assert.equal(page.url(), `${fake.url}#${placeOf(0, fake)}`);
});

state("silence is stale where tallyd hangs, and rest where nothing happens", {}, async ({ page, fake }) => {
    await page.waitForSelector(viewOf(0, fake));
    fake.quiet = true;
    const asked = () => fake.log.filter((line) => line.endsWith("/stats")).length;
    const before = asked();
    await eventually("it is asked whether anything is new", async () => asked() >= before + 2);
    await byId(page, "stale").waitFor({ state: "detached" });
    fake.frozen = true;
    await byId(page, "stale").getByText(/^Stale: nothing new from tallyd for \d+ s/).waitFor();
    assert.match(await byId(page, "link").textContent(), /stale/);
    fake.frozen = fake.quiet = false;
    await byId(page, "stale").waitFor({ state: "detached" });
});

state("loss is said: events, frames, and in the list", {}, async ({ page, fake }) => {
    await page.waitForSelector(viewOf(0, fake));
    Object.assign(fake.processes[0], { complete: false, lost: 1234 });
    await page.locator('[data-badge="complete"]', { hasText: /incomplete: 1,234 events of .* lost/ }).waitFor();
    Object.assign(fake.processes[0], { lost: 0, rowless: 2 });
    await page.locator('[data-badge="complete"]', { hasText: "incomplete: 2 types without a row" }).waitFor();
    await Promise.all([byId(page, "missed").getByText("3 frames skipped").waitFor(), /* it is not said for ever */
        fake.streams.forEach((stream) => fake.send(stream, "gap", { missed: 3 }))]);
});

state("names and labels are text, whatever they hold", { processes: [fakeProcess('<img src=x onerror="window.hit=1">', {
    labels: { "</script><script>window.hit=1</script>": "<img src=x onerror=window.hit=1>", ["x".repeat(300)]: "\u202e\"'&" } })] },
async ({ page }) => {
    await byId(page, "name").getByText('<img src=x onerror="window.hit=1">').waitFor();
    assert.equal(await page.evaluate(() => window.hit), undefined);
    assert.equal(await page.locator("img[src=x]").count(), 0);
    assert.deepEqual(await wider(page), []);
});

state("a process that has ended keeps its numbers and loses its controls", {}, async ({ page, fake }) => {
    await page.goto(`${fake.url}#process=${fake.processes[2].id}`);
    await byId(page, "controls-gone").waitFor();
    assert.equal(await byId(page, "collect").count(), 0);
    await page.locator('[data-badge="state"]', { hasText: "gone (exited)" }).waitFor();
});

state("an unknown process in the address is said, and the list still works", {}, async ({ page, fake }) => {
    await page.waitForSelector(viewOf(0, fake));
    for (const id of ["0".repeat(32), "no, such/%25 process"]) {
        await go(page, `process=${encodeURIComponent(id)}`);
        await byId(page, "process-problem").getByText("No such process").waitFor();
        await page.locator('[data-testid="link"][data-state="live"]').waitFor();
    }
    await byId(page, "to-fleet").click();
    await page.locator('[data-testid="processes"] tbody tr').first().click();
    await page.waitForSelector(viewOf(0, fake));
});

state("an empty list says how to fill it, and the first process to come is shown", { processes: [] }, async ({ page, fake }) => {
    await byId(page, "list-empty").waitFor();
    fake.processes.push(fakeProcess("late"));
    await page.locator('[data-testid="processes"] tr', { hasText: "late" }).waitFor();
});

state("many processes can be filtered by name, pid and label", { url: (fake) => fake.link(), processes: Array.from({ length: 250 }, (_, n) =>
    fakeProcess(`worker-${n}`, { labels: { zone: n % 2 ? "odd" : "even" } })) }, async ({ page }) => {
    await byId(page, "processes-filter").fill("zone:odd worker-24");
    await byId(page, "processes-count").getByText("5 of 250 rows").waitFor();
});

for (const colorScheme of ["light", "dark"]) {
    state(`accessible in ${colorScheme} colours`, { context: { colorScheme, bypassCSP: true } }, async ({ page, fake }) => {
        await page.waitForSelector(viewOf(0, fake));
        Object.assign(fake.processes[0], { complete: false, lost: 5 });
        await byId(page, "disable").click();
        await byId(page, "confirm").waitFor();
        assert.deepEqual(await axe(page), []);
        await byId(page, "confirm-yes").click();
        await byId(page, "answer").getByText("disabled").waitFor();
        await page.locator('[data-figure="live_bytes"] canvas').waitFor();
        assert.deepEqual(await axe(page), []);
        await fake.stop();
        await byId(page, "stale").waitFor();
        assert.deepEqual(await axe(page), []);
        await fake.start();
        await page.evaluate(() => sessionStorage.clear());
        await page.goto(fake.url + "#login=wrong");
        await byId(page, "login-problem").waitFor();
        assert.deepEqual(await axe(page), []);
    });
}

state("a narrow screen needs no sideways scrolling", { context: { viewport: { width: 360, height: 740 } } }, async ({ page, fake }) => {
    await page.waitForSelector(viewOf(0, fake));
    await page.locator('[data-figure="live_bytes"]').scrollIntoViewIfNeeded();
    await page.locator('[data-figure="live_bytes"] canvas').waitFor();
    assert.deepEqual(await wider(page), []);
});

state("who asked for less motion gets a frame a second", { context: { reducedMotion: "reduce" } }, async ({ page, fake }) => {
    await page.waitForSelector(viewOf(0, fake));
    const watched = await page.evaluateHandle(() => {
        const watch = { changes: 0, since: performance.now() };
        new MutationObserver(() => watch.changes++).observe(document.querySelector('[data-testid="figures"] [data-field="allocations"]'), { characterData: true, subtree: true, childList: true });
        return watch;
    });
    const { seq } = fake;
    await eventually("twenty frames have come", async () => fake.seq >= seq + 20);
    const { changes, seconds } = await watched.evaluate((watch) => ({ changes: watch.changes, seconds: (performance.now() - watch.since) / 1000 }));
    assert.ok(changes >= 1 && changes <= seconds + 4, `${changes} changes in ${seconds} s`); /* four: answers to what a view asks are drawn too */
});
