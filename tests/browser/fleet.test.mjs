/* The list of processes: a thousand of them beside a tallyd that can be bent, and a few real ones beside a real one. */

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { bytes } from "../../web/format.js";
import { fakeProcess } from "./fake-tallyd.mjs";
import { PATIENCE, axe, byId, cut, eventually, open, saved, tabTo } from "./page.mjs";
import { hashOf, staged } from "./stage.mjs";
import { BUILD, World } from "./world.mjs";

const stage = staged();
const many = (count, more = () => ({})) => Array.from({ length: count }, (_, n) => fakeProcess(`worker-${n}`, { labels: { zone: n % 2 ? "odd" : "even", app: `app ${n % 4}` }, pace: n / 100, ...more(n) }));
const rows = (page) => page.locator('[data-testid="processes"] tbody tr[data-key]');
const names = (page) => rows(page).locator("td.stick").allTextContents();
const count = (page) => byId(page, "processes-count").textContent();
const chosen = (page) => byId(page, "chosen").textContent();
const active = (page) => page.locator('[data-testid="processes"] tr.active td.stick').textContent();

stage("of a thousand rows those in sight are drawn, and all can be reached", { processes: many(1000) }, async ({ page }) => {
    const table = byId(page, "processes");
    await table.waitFor();
    assert.equal(await table.getAttribute("aria-rowcount"), "1001");
    assert.ok(await rows(page).count() < 60, `${await rows(page).count()} rows`);
    await table.focus();
    await page.keyboard.press("End");
    await eventually("the last is there", async () => await active(page) === "worker-999");
    const last = page.locator("tr", { hasText: "worker-999" });
    assert.equal(await last.getAttribute("aria-rowindex"), "1001");
    assert.equal(await table.getAttribute("aria-activedescendant"), await last.getAttribute("id"));
    const [inside, line] = [await page.locator(".table-scroll").boundingBox(), await last.boundingBox()];
    assert.ok(line.y + line.height <= inside.y + inside.height + 1, "it is in sight");
    await page.keyboard.press("PageUp");
    assert.match(await active(page), /^worker-9\d\d$/);
    await page.keyboard.press("Home");
    await eventually("the first is there", async () => await active(page) === "worker-0");
    await page.locator(".table-scroll").evaluate((scroller) => { scroller.scrollTop = 500 * 30; });
    await page.locator("tr", { hasText: "worker-505" }).waitFor();
    assert.ok(await rows(page).count() < 60);
    assert.equal(await table.getAttribute("aria-activedescendant"), null, "of a row out of sight");
});

stage("rows are sorted by a head, filtered by words, and the address has both", { processes: many(300) }, async ({ page }) => {
    await byId(page, "processes").waitFor();
    const head = page.locator('th[data-column="allocations_per_s"]');
    await head.getByRole("button").click();
    assert.equal(await head.getAttribute("aria-sort"), "descending");
    await eventually("the busiest is first", async () => (await names(page))[0] === "worker-299" || await names(page));
    await head.getByRole("button").press("Enter");
    await eventually("the idlest is first", async () => (await names(page))[0] === "worker-0" || await names(page));
    assert.equal(hashOf(page).get("sort"), "+allocations_per_s");
    await byId(page, "processes-filter").fill('zone:odd "app:app 1" -worker-1');
    await eventually("they are counted", async () => /^\d+ of 300 rows$/.test(await count(page)));
    await page.locator("#announcer", { hasText: /^\d+ rows found$/ }).waitFor();
    const left = await names(page);
    assert.ok(left.length > 20 && left.every((name) => Number(name.slice(7)) % 4 === 1 && !name.startsWith("worker-1")), left.join());
    const address = page.url();
    await page.reload();
    await eventually("the same again", async () => String(await names(page)) === String(left) || await names(page));
    assert.equal(page.url(), address);
    await byId(page, "processes-filter").fill("nothing like it");
    await byId(page, "processes-none").getByRole("button").click();
    await eventually("all again", async () => await count(page) === "300 rows");
    await page.locator("tr", { hasText: "worker-1" }).first().getByRole("button", { name: "zone=odd" }).click();
    await eventually("the label filters", async () => await count(page) === "150 of 300 rows");
    assert.equal(hashOf(page).get("filter"), "zone:odd");
});

stage("the CSV has what the filter leaves, safe for a spreadsheet", { processes: [fakeProcess("=1+1", { labels: { note: 'a "quoted", one' } }), fakeProcess("plain"), fakeProcess("other")] }, async ({ page }) => {
    await byId(page, "processes-filter").fill("-other");
    await eventually("two are left", async () => await count(page) === "2 of 3 rows");
    const file = await saved(page, () => byId(page, "processes-csv").click());
    assert.equal(file.name, "tally-processes.csv");
    const [head, first, second, end] = file.text.split("\r\n");
    assert.ok(head.startsWith("name,live_bytes,live_objects,alerts,allocations_per_s,"), head);
    assert.match(first, /^'=1\+1,\d+,\d+,\d+,/);
    assert.ok(first.endsWith('"note=a ""quoted"", one"'), first);
    assert.match(second, /^plain,/);
    assert.equal(end, "");
});

stage("groups have sums, open by click and by key, and stand in the address", { processes: many(40) }, async ({ page, fake }) => {
    await byId(page, "group").selectOption("label:app");
    await eventually("the groups are there", async () => await rows(page).count() === 4 || await rows(page).count());
    assert.equal(await byId(page, "processes").getAttribute("role"), "treegrid");
    fake.quiet = true;
    const sum = () => fake.processes.filter(({ labels }) => labels.app === "app 2").reduce((all, p) => all + (p.allocations - p.refcount - p.cycle) * 64, 0);
    const group = page.locator("tr.group", { hasText: "app 2" });
    await eventually("the sum is right", async () => (await group.locator("td").nth(2).textContent()) === bytes(sum()));
    await group.click();
    await eventually("it is open", async () => await rows(page).count() === 14);
    assert.equal(await group.getAttribute("aria-expanded"), "true");
    await byId(page, "processes").focus();
    await page.keyboard.press("Home");
    await page.keyboard.press("ArrowRight");
    await eventually("two are open", async () => await rows(page).count() === 24);
    await page.reload();
    await eventually("as before", async () => await rows(page).count() === 24);
    await byId(page, "processes").focus();
    await page.keyboard.press("Home");
    await page.keyboard.press("ArrowLeft");
    await page.keyboard.press("Space");
    await eventually("its rows are chosen", async () => await chosen(page) === "10 chosen");
    await byId(page, "group").selectOption("name");
    await eventually("a group for each name", async () => await rows(page).count() === 40);
});

stage("rows are chosen by their boxes, with Ctrl and Shift, and by keys", { processes: many(200) }, async ({ page }) => {
    const box = (n) => rows(page).nth(n).locator(".choose");
    await byId(page, "processes").waitFor();
    await box(1).click();
    await rows(page).nth(3).locator("td").nth(4).click({ modifiers: ["Control"] });
    await eventually("two", async () => await chosen(page) === "2 chosen");
    await rows(page).nth(6).locator("td").nth(4).click({ modifiers: ["Shift"] });
    await eventually("up to there", async () => await chosen(page) === "5 chosen");
    assert.equal(await byId(page, "processes-all").evaluate((all) => all.indeterminate), true);
    assert.equal(await rows(page).nth(4).getAttribute("aria-selected"), "true");
    assert.equal(hashOf(page).get("view") ?? "fleet", "fleet", "no click has opened a row");
    await box(1).click();
    await eventually("one fewer", async () => await chosen(page) === "4 chosen");
    await byId(page, "processes").focus();
    await page.keyboard.press("Escape");
    await eventually("none", async () => await chosen(page) === "0 chosen");
    await page.keyboard.press("Home");
    await page.keyboard.press("Space");
    await page.keyboard.press("Shift+ArrowDown");
    await page.keyboard.press("Shift+ArrowDown");
    await eventually("three", async () => await chosen(page) === "3 chosen");
    await page.keyboard.press("Control+a");
    await eventually("all, those out of sight too", async () => await chosen(page) === "200 chosen");
    await byId(page, "batch-clear").click();
    await byId(page, "processes-filter").fill("zone:even");
    await byId(page, "processes-all").click();
    await eventually("all that are found", async () => await chosen(page) === "100 chosen");
});

stage("a batch says what it costs, then what becomes of each, and outlives a reload; with keys alone", { processes: many(9) }, async ({ page, fake }) => {
    fake.stuck.add(fake.processes[1].id);
    fake.processes[2].vetoes = true;
    fake.processes[8].state = "gone";
    await byId(page, "processes").waitFor();
    assert.equal(await byId(page, "batch-collect").isDisabled(), true);
    assert.match(await byId(page, "batch-reason").textContent(), /Choose live processes first/);
    await tabTo(page, "processes-csv");
    await tabTo(page, "processes");
    await page.keyboard.press("Control+a");
    await eventually("the gone one is left out", async () => await chosen(page) === "9 chosen, 1 gone");
    await tabTo(page, "batch-collect");
    await page.keyboard.press("Enter");
    await byId(page, "confirm-yes").waitFor();
    const cost = await byId(page, "confirm-cost").textContent();
    assert.match(cost, /^Predicted pause: at most [\d.]+ (µs|ms) \(worker-\d\), each for itself\.$/);
    assert.equal(await byId(page, "confirm-yes").textContent(), "Collect 8");
    await page.keyboard.press("Escape");
    assert.ok(!fake.log.includes("POST /v1/batch"), "nothing was asked");
    assert.equal(await page.evaluate(() => document.activeElement.dataset.testid), "batch-collect");
    await page.keyboard.press("Enter");
    await byId(page, "confirm-yes").waitFor();
    await page.keyboard.press("Enter");
    await byId(page, "batch").waitFor();
    const id = hashOf(page).get("batch");
    await page.reload();
    await page.locator('[data-testid="batch"][data-state="failed"]').waitFor();
    assert.equal(hashOf(page).get("batch"), id);
    assert.equal((await byId(page, "batch-tally").textContent()).split(", ").sort().join(), "1 expired,1 failed,6 done");
    const results = page.locator('[data-testid="batch-results"] tbody tr');
    await eventually("each has a result", async () => await results.count() === 8);
    assert.match(await results.nth(0).textContent(), /worker-2failedfailed: the host does not let its heap be controlled/);
    assert.match(await results.nth(1).textContent(), /worker-1expiredexpired: the owner reached no safepoint in 1.2 s/);
    assert.match(await results.nth(2).textContent(), /succeededcollected [\d,]+ objects? \(64 B\) in 120 µs/);
    await tabTo(page, "batch-close");
    await page.keyboard.press("Enter");
    await byId(page, "batch").waitFor({ state: "detached" });
    assert.equal(hashOf(page).get("batch"), null);
});

stage("a batch that waits is cancelled, and what ends it is announced", { processes: many(3) }, async ({ page, fake }) => {
    fake.processes.forEach(({ id }) => fake.stuck.add(id));
    fake.deadlineMs = 60_000;
    await byId(page, "processes-all").click();
    await byId(page, "batch-disable").click();
    await byId(page, "confirm").getByText("garbage cycles stay in memory").waitFor();
    await byId(page, "confirm-yes").click();
    await byId(page, "batch-tally").getByText("3 waiting for safepoint").waitFor();
    await page.locator("#announcer", { hasText: "Disable asked of 3 processes" }).waitFor();
    await byId(page, "batch-cancel").click();
    await page.locator('[data-testid="batch"][data-state="cancelled"]').waitFor();
    await page.locator("#announcer", { hasText: /^config: / }).waitFor();
});

stage("who may only read sees the controls and why they are off", { url: (fake) => { fake.scopes = ["read"]; return fake.link(); } }, async ({ page }) => {
    await byId(page, "processes-all").click();
    await byId(page, "batch-reason").getByText("Read-only: this token's scope is read, and this needs control").waitFor();
    for (const id of ["collect", "enable", "disable", "freeze", "baseline"]) {
        assert.equal(await byId(page, `batch-${id}`).isDisabled(), true, id);
        assert.equal(await byId(page, `batch-${id}`).getAttribute("aria-describedby"), "batch-reason");
    }
});

stage("a refused batch says why", {}, async ({ page, fake }) => {
    fake.refuse = 403;
    await byId(page, "processes-all").click();
    await byId(page, "batch-baseline").click();
    await byId(page, "confirm-yes").waitFor();
    assert.equal(await byId(page, "confirm-cost").count(), 0, "a baseline costs nothing");
    await byId(page, "confirm-yes").click();
    await byId(page, "batch-problem").getByText("this listener is read-only").waitFor();
});

stage("it is told how programs ended, what is off and what was lost", { processes: [fakeProcess("one", { state: "gone", gone_at: new Date().toISOString(), end: "exited", exit: { kind: "signal", signal: 11, name: "SIGSEGV", core: true } }),
    fakeProcess("two", { state: "gone", gone_at: new Date().toISOString(), end: "exited", exit: { kind: "exit", code: 3 } }), fakeProcess("three", { state: "gone", gone_at: new Date().toISOString(), end: "bye" }),
    fakeProcess("four", { enabled: false }), fakeProcess("five", { complete: false, lost: 12_345 })] }, async ({ page }) => {
    for (const [name, text] of [["one", "killed by SIGSEGV, core dumped"], ["two", "exited with 3"], ["three", "detached"], ["four", "disabled"], ["five", "12.3 k"]]) {
        await page.locator('[data-testid="processes"] tr', { hasText: name }).filter({ hasText: text }).waitFor();
    }
    assert.deepEqual((await names(page)).slice(0, 2), ["four", "five"], "live ones come first");
    await byId(page, "state").selectOption("gone");
    await eventually("three are gone", async () => await count(page) === "3 of 5 rows");
    assert.equal(hashOf(page).get("state"), "gone");
});

stage("what is in a row is reached by keys: its name, its alert, its labels", { processes: many(3) }, async ({ page, fake }) => {
    const [one] = fake.processes;
    fake.alerts = [{ id: 1, state: "firing", rule: "big", process: one.id, name: one.name, type: null, series: "live_bytes", condition: "", value: 1, began_at: "", resolved_at: null, reason: null }];
    await page.reload();
    await rows(page).locator(".count-badge", { hasText: "firing" }).waitFor();
    const focused = () => page.evaluate(() => document.activeElement.textContent);
    await byId(page, "processes").focus();
    await page.keyboard.press("Home");
    for (const text of ["worker-0", "1 firing", "zone=even", "app=app 0", "app=app 0"]) {
        await page.keyboard.press("ArrowRight");
        assert.equal(await focused(), text);
    }
    await page.keyboard.press("ArrowLeft");
    assert.equal(await focused(), "zone=even");
    await page.keyboard.press("Space");
    await eventually("the label filters", async () => hashOf(page).get("filter") === "zone:even" || page.url());
    await page.keyboard.press("Escape");
    assert.equal(await page.evaluate(() => document.activeElement.tagName), "TABLE");
    await page.keyboard.press("End");
    await eventually("another row", async () => await active(page) === "worker-2");
    const reached = [];
    for (let turn = 0; turn < 30 && !reached.includes("app=app 2"); turn++) {
        await page.keyboard.press("Tab");
        reached.push(await focused());
    }
    assert.deepEqual(reached.slice(-3), ["worker-2", "zone=even", "app=app 2"], "of the active row, and of no other");
});

stage("no figure is cut, however long", { processes: many(4, (n) => ({ allocations: [16_370, 1, 1.6e10, 15_999][n], refcount: 0, pace: 300, lost: n * 1_234_567, complete: n > 1, longest: 999e6, pid: 4_194_300 + n })) }, async ({ page }) => {
    await byId(page, "processes").waitFor();
    assert.deepEqual(await cut(page), []);
    assert.ok(await page.locator(".top .ways a").evaluateAll((all) => all.every((way) => way.getBoundingClientRect().right <= innerWidth)));
});

stage("rows keep their places under a hand, and move when it has left", { url: (fake) => fake.link("sort=-live_objects"), processes: many(20, () => ({ pace: 0 })) }, async ({ page, fake }) => {
    await byId(page, "processes").waitFor();
    const clock = await page.evaluateHandle(() => {
        const { now } = performance;
        const stopped = performance.now();
        performance.now = () => stopped; /* the hand stays as long as the test needs */
        return now;
    });
    await rows(page).nth(3).hover();
    const before_ = await names(page);
    Object.assign(fake.processes.find(({ name }) => name === before_[9]), { allocations: 9e6 });
    await eventually("its figure has changed", async () => /M$/.test(await rows(page).nth(9).locator("td").nth(3).textContent()));
    assert.deepEqual(await names(page), before_);
    await clock.evaluate((now) => { performance.now = now; });
    await eventually("it has moved", async () => (await names(page))[0] === before_[9] || await names(page));
});

for (const colorScheme of ["light", "dark"]) {
    stage(`the list has no fault of accessibility in ${colorScheme} colours`, { processes: many(24, (n) => n % 9 ? {} : { enabled: false, complete: false, lost: n }), context: { colorScheme } }, async ({ page, fake }) => {
        fake.alerts = [{ id: 1, state: "firing", rule: "big", process: fake.processes[3].id, name: "worker-3", type: null, series: "live_bytes", condition: "", value: 1, began_at: "", resolved_at: null, reason: null }];
        await byId(page, "processes").waitFor(); /* logged in */
        await page.reload();
        await byId(page, "processes-all").click();
        assert.deepEqual(await axe(page), [], "rows");
        await byId(page, "group").selectOption("label:app");
        await page.locator("tr.group").first().click();
        await byId(page, "batch-collect").click();
        await byId(page, "confirm-yes").waitFor();
        assert.deepEqual(await axe(page), [], "the question");
        await byId(page, "confirm-yes").click();
        await byId(page, "batch-results").waitFor();
        assert.deepEqual(await axe(page), [], "groups and a batch");
    });
}

const built = ["tallyd", "tally-mal"].every((program) => existsSync(join(BUILD, program)));
const skip = !built && !process.env.TALLY_REQUIRE_ALL && `no programs in ${BUILD}`;

describe("the list beside the real tallyd", { skip }, () => {
    const world = new World();
    let page, faults, close;
    const row = (name) => page.locator('[data-testid="processes"] tbody tr', { hasText: name });
    const one = async (name) => (await world.api("/v1/processes")).processes.find((p) => p.name === name);

    before(async () => {
        await world.start();
        ({ page, faults, close } = await open(world.browser, await world.link()));
    }, PATIENCE);
    after(async () => {
        await close?.();
        await world.stop();
    }, PATIENCE);

    test("nothing is attached: it is said how that changes, and it does", PATIENCE, async () => {
        await byId(page, "list-empty").getByText("tally_attach()").waitFor();
        assert.deepEqual(await axe(page), []);
        ["bakery", "orchard", "mill"].forEach((name) => world.program(name, `role=${name === "mill" ? "tool" : "shop"}`));
        await row("mill").waitFor();
        await eventually("all have come", async () => await page.locator('[data-testid="processes"] tbody tr[data-key]').count() === 3);
    });

    test("a row's figures are the API's", PATIENCE, async () => {
        await eventually("they are the same", async () => {
            const { live_objects: objects, live_bytes: size, pid } = await one("orchard");
            const text = await row("orchard").textContent();
            return text.includes(String(pid)) && text.includes(bytes(size)) && text.includes(objects.toLocaleString("en-US")) || text;
        });
    });

    test("two are chosen and disabled, and the third is left alone; then collected and enabled", PATIENCE, async () => {
        await row("bakery").locator(".choose").click();
        await row("orchard").locator(".choose").click();
        await byId(page, "batch-disable").click();
        await byId(page, "confirm-yes").click();
        await page.locator('[data-testid="batch"][data-state="succeeded"]').waitFor();
        await row("bakery").filter({ hasText: "disabled" }).waitFor();
        assert.deepEqual(await Promise.all(["bakery", "orchard", "mill"].map(async (name) => (await one(name)).enabled)), [false, false, true]);
        const { collections } = await one("bakery");
        await byId(page, "batch-generation").selectOption("1");
        await byId(page, "batch-collect").click();
        await byId(page, "confirm-cost").waitFor();
        await byId(page, "confirm-yes").click();
        await eventually("it has run", async () => (await one("bakery")).collections === collections + 1);
        await byId(page, "batch-results").getByText(/^collected \d/).first().waitFor();
        await row("bakery").filter({ hasText: "remote" }).first().waitFor();
        for (const control of ["baseline", "freeze", "enable"]) {
            const old = hashOf(page).get("batch");
            await byId(page, `batch-${control}`).click();
            await byId(page, "confirm-yes").click();
            await eventually("another batch", async () => hashOf(page).get("batch") !== old);
            await page.locator('[data-testid="batch"][data-state="succeeded"]').waitFor();
        }
        assert.equal((await one("bakery")).enabled, true);
        assert.equal(await world.api(`/v1/processes/${(await one("orchard")).id}/types?baseline=true`).then(({ types }) => types.length > 0), true);
        await byId(page, "batch-close").click();
    });

    test("one that is killed is gone, and the list says so", PATIENCE, async () => {
        world.programs[1].kill("SIGKILL");
        await row("orchard").filter({ hasText: /exited|killed/ }).waitFor();
        await byId(page, "totals").getByText("2 live · 1 gone").waitFor();
    });

    test("nothing went wrong in the page meanwhile", () => assert.deepEqual(faults, []));
});
