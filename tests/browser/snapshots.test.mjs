/* Snapshots and suspects: what one costs before, its progress, what is in it by type, object, path and tree; and what looks
 * like a leak. */

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { PATIENCE, LEAK, accessible, addressed, fakePage, inAddress, saved, tabTo, unbuilt } from "./findings.mjs";
import { byId, eventually, launch, open } from "./page.mjs";
import { World } from "./world.mjs";

const list = (p) => `view=snapshots&process=${p.id}`;
/** A snapshot that can be looked into, on the fake. */
const ready = (fake, p) => Object.assign(fake.findings.artifact(p, 1, "clone"), { state: "ready", progress: 1, eta_ms: null });
const focused = (page) => page.evaluate(() => document.activeElement.dataset.key);

describe("snapshots on a bent tallyd", () => {
    let browser;
    before(async () => { browser = await launch(); });
    after(() => browser?.close());

    test("one is taken, watched until it is ready, opened and deleted", PATIENCE, async () => {
        const { page, faults, end } = await fakePage(browser, list);
        await byId(page, "artifacts-empty").waitFor();
        await eventually("the cost is told", async () => /36,000 objects.*Pauses the program for about 2\.30 ms, by a copied process/.test(await byId(page, "take-cost").textContent()) || byId(page, "take-cost").textContent());
        await accessible(page, "no snapshots");
        await byId(page, "take-heap").selectOption("2");
        await byId(page, "take-cost").getByText("1,200 objects").waitFor();
        await byId(page, "take-snapshot").click();
        await byId(page, "take-answer").getByText("took 240 objects").waitFor();
        await page.locator('tr[data-state="ready"]').waitFor();
        await accessible(page, "the list");
        await page.locator('tr[data-state="ready"] [data-testid="delete-artifact"]').click();
        await byId(page, "confirm-no").click();
        await page.locator('tr[data-state="ready"] a').first().click();
        await byId(page, "artifact").waitFor();
        await byId(page, "artifact").locator('[data-testid="delete-artifact"]').click();
        await byId(page, "confirm-yes").click();
        await byId(page, "artifacts-empty").waitFor();
        assert.deepEqual(faults, []);
        await end();
    });

    test("a pause that is too long is refused, and forced by who confirms it", PATIENCE, async () => {
        const { page, faults, fake, end } = await fakePage(browser, list, (one) => { one.findings.refused = true; });
        await byId(page, "take-cost").getByText("in slices").waitFor();
        await byId(page, "take-mode").selectOption("clone");
        await byId(page, "take-refused").waitFor();
        await accessible(page, "refused");
        await tabTo(page, '[data-testid="take-snapshot"]');
        await page.keyboard.press("Enter");
        await byId(page, "confirm-cost").getByText("48.0 ms").waitFor();
        await page.keyboard.press("Escape");
        assert.equal(fake.findings.artifacts.length, 0);
        await page.keyboard.press("Enter");
        await page.keyboard.press("Tab");
        await page.keyboard.press("Enter");
        await page.locator('tr[data-state="ready"]').waitFor();
        assert.deepEqual(faults, []);
        await end();
    });

    test("types lead to objects, an object tells why it is alive and what it goes with; all of it in the address", PATIENCE, async () => {
        const { page, faults, fake, process, end } = await fakePage(browser, list, ready);
        await page.goto(`${fake.url}#${list(process)}&artifact=${fake.findings.artifacts[0].id}`);
        await byId(page, "holders").waitFor();
        await accessible(page, "a snapshot");
        await page.locator('[data-testid="artifact-types"] tr[data-type="Node"] a').click();
        await byId(page, "objects").waitFor();
        assert.equal(await inAddress(page, "type"), "Node");
        await byId(page, "any-type").click();
        await byId(page, "page-pages").waitFor();
        const first = await page.locator('[data-testid="objects"] tbody tr').first().getAttribute("data-object");
        await byId(page, "page-next").click();
        await eventually("another page", async () => await page.locator('[data-testid="objects"] tbody tr').first().getAttribute("data-object") !== first);
        await page.reload();
        await byId(page, "page-first").waitFor();
        assert.notEqual(await page.locator('[data-testid="objects"] tbody tr').first().getAttribute("data-object"), first);
        await byId(page, "objects-sort").selectOption("external");
        await eventually("the unexplained come first", async () => await page.locator('[data-testid="objects"] tbody tr').first().locator("td").nth(4).textContent() === "1");
        await byId(page, "roots-only").check();
        await byId(page, "objects-count").getByText("7 rows").waitFor();
        await accessible(page, "objects");
        await byId(page, "objects").focus();
        await page.keyboard.press("Home");
        await page.keyboard.press("Enter");
        await byId(page, "object").waitFor();
        const object = Number(await byId(page, "object").getAttribute("data-object"));
        await page.locator('[data-testid="path"] .chain li').last().getByText(`#${object}`).waitFor();
        assert.equal(await page.locator('[data-testid="path"] .chain .node').first().textContent(), "Session #1 declared");
        assert.match(await page.locator('[data-testid="path"] .edge code').first().textContent(), /^children\[\d\]$/);
        assert.equal(await page.locator('[data-testid="dominator-chain"] .chain li').count(), await page.locator('[data-testid="path"] .chain li').count());
        await accessible(page, "an object");
        await page.locator('[data-testid="edges-in"] tbody a').first().click();
        await addressed(page, "object", String(Math.floor((object + 1) / 3)));
        await page.locator('[data-testid="edges-out"] tr', { hasText: `#${object}` }).waitFor();
        await page.goBack();
        await addressed(page, "object", String(object));
        assert.deepEqual(faults, []);
        await end();
    });

    test("the dominator tree is walked by keyboard alone, and what is open survives a reload", PATIENCE, async () => {
        const { page, faults, fake, process, end } = await fakePage(browser, list, ready);
        await page.goto(`${fake.url}#${list(process)}&artifact=${fake.findings.artifacts[0].id}&tab=tree`);
        const tree = byId(page, "dominators");
        await tree.locator('[data-key="1"]').waitFor();
        await tabTo(page, '[role="treeitem"]');
        await page.keyboard.press("ArrowRight");
        await tree.locator('[data-key="4"]').waitFor();
        await page.keyboard.press("ArrowRight");
        assert.equal(await focused(page), "2");
        await page.keyboard.press("ArrowRight");
        await tree.locator('[data-key="7"]').waitFor();
        await page.keyboard.press("End");
        assert.equal(await focused(page), "4");
        await page.keyboard.press("ArrowLeft");
        assert.equal(await focused(page), "1");
        assert.equal(await inAddress(page, "open"), "1.2");
        await accessible(page, "the tree");
        await page.reload();
        await tree.locator('[data-key="7"][aria-level="3"]').waitFor();
        assert.equal(await tree.locator('[data-key="2"]').getAttribute("aria-expanded"), "true");
        assert.equal(await tree.locator('[tabindex="0"]').count(), 1);
        await tree.locator('[data-key="2"] .twist').click();
        await tree.locator('[data-key="7"]').waitFor({ state: "detached" });
        await tabTo(page, '[role="treeitem"]');
        await page.keyboard.press("Home");
        await page.keyboard.press("Enter");
        await byId(page, "object").waitFor();
        assert.deepEqual(faults, []);
        await end();
    });

    test("suspects: what grows and why, who reclaims, what is examined in vain; and none says what was watched", PATIENCE, async () => {
        const { page, faults, fake, end } = await fakePage(browser, (p) => `view=suspects&process=${p.id}`, ready);
        await byId(page, "growing").first().waitFor();
        assert.match(await byId(page, "growing").first().textContent(), /Sessionvery likely.*45\.8 MiB an hour.*Its least rose in 12 of 12 windows/s);
        assert.match(await byId(page, "reclaimed-said").textContent(), /of what the cycle collector frees is Node: make Node\.parent weak/);
        await byId(page, "external-section").locator("tbody tr").first().waitFor();
        await byId(page, "ask-candidates").click();
        await byId(page, "always-section").getByText("Make them immortal").waitFor();
        await accessible(page, "suspects");
        await byId(page, "suspects-filter").fill("Cache");
        await eventually("one is left", async () => await byId(page, "growing").count() === 1);
        await byId(page, "next-cycles").click();
        await byId(page, "cycles-filter").waitFor();
        assert.equal(await byId(page, "cycles-filter").inputValue(), "CacheEntry");
        fake.findings.nothing = true;
        await page.goBack();
        await byId(page, "suspects-filter").fill("");
        await byId(page, "growing-empty").getByText("Watched for 1 h").waitFor();
        await accessible(page, "no suspects");
        assert.deepEqual(faults, []);
        await end();
    });
});

describe("a real program's snapshot", { skip: unbuilt }, () => {
    const world = new World();
    let page, faults, close, leak, id;
    before(async () => {
        await world.start();
        leak = world.program("leak", "kind=leak");
        leak.stdin.write(`${LEAK}(keep 300)\n(knots 20)\n`);
        await eventually("it is attached", async () => (await world.api("/v1/processes")).processes.length === 1);
        id = (await world.api("/v1/processes")).processes[0].id;
        await eventually("it keeps lists", async () => (await world.api(`/v1/processes/${id}/types?type=list`)).types[0]?.live_objects >= 600);
        ({ page, faults, close } = await open(world.browser, await world.link()));
        await page.goto(`http://${world.address}/#view=snapshots&process=${id}`);
    }, PATIENCE);
    after(async () => {
        await close?.();
        await world.stop();
    }, PATIENCE);

    test("it is taken here, and an object that leaks leads back to what keeps it", PATIENCE, async () => {
        await byId(page, "take-cost").getByText("objects").waitFor();
        await byId(page, "take-snapshot").click();
        await page.locator('tr[data-state="ready"]').waitFor({ timeout: 40_000 });
        await page.locator('tr[data-state="ready"] a').first().click();
        await page.locator('[data-testid="artifact-types"] tr[data-type="list"] a').click();
        const { artifacts: [{ id: artifact }] } = await world.api("/v1/artifacts");
        const { types } = await world.api(`/v1/artifacts/${artifact}/types`);
        assert.ok(types.find(({ type }) => type === "list").objects >= 600);
        await page.locator('[data-testid="objects"] tbody tr a').nth(3).click();
        await byId(page, "object").waitFor();
        await page.locator('[data-testid="path"] .chain .node').nth(1).waitFor();
        const fields = await page.locator('[data-testid="path"] .edge code').allTextContents();
        assert.ok(fields.includes("rest") || fields.includes("content") || fields.includes("first"), fields.join());
        const object = await byId(page, "object").getAttribute("data-object");
        const { path } = await world.api(`/v1/artifacts/${artifact}/objects/${object}/path`);
        assert.equal(await page.locator('[data-testid="path"] .chain li').count(), path.length + 0);
        await page.goto(`http://${world.address}/#view=snapshots&process=${id}&artifact=${artifact}&tab=tree`);
        const top = byId(page, "dominators").locator('[aria-level="1"][aria-expanded="false"]').first();
        await top.locator(".twist").click();
        await byId(page, "dominators").locator('[aria-level="2"]').first().waitFor();
        assert.deepEqual(faults, []);
    });

    test("what has grown since the snapshot is told", PATIENCE, async () => {
        leak.stdin.write("(keep 200)\n");
        const { artifacts: [{ id: artifact }] } = await world.api("/v1/artifacts");
        await page.goto(`http://${world.address}/#view=compare&process=${id}&a=${artifact}`);
        await page.locator('[data-testid="compared"] tr[data-type="list"][data-state="grown"]').waitFor();
        await page.locator('[data-testid="compare-a"] option[selected], [data-testid="compare-a"] option:checked').getByText("snapshot of leak, heap 1").waitFor({ state: "attached" });
        await page.goto(`http://${world.address}/#view=snapshots&process=${id}&artifact=${artifact}`);
        await byId(page, "artifact").waitFor();
        assert.deepEqual(faults, []);
    });

    test("downloads are what the tools open", PATIENCE, async () => {
        await byId(page, "to-list").click();
        await page.locator('tr[data-state="ready"] a').first().click();
        await byId(page, "downloads").locator("summary").click();
        const heap = await saved(page, () => byId(page, "download-heapsnapshot").click());
        assert.match(heap.name, /^leak-heap1-[0-9a-f]{16}\.heapsnapshot$/);
        const { snapshot, nodes } = JSON.parse(heap.text);
        assert.equal(nodes.length, snapshot.node_count * snapshot.meta.node_fields.length);
        const lines = await saved(page, () => byId(page, "download-ndjson").click());
        assert.ok(lines.text.trim().split("\n").every((line) => JSON.parse(line)));
        assert.deepEqual(faults, []);
    });

    test("a snapshot can be deleted", PATIENCE, async () => {
        await byId(page, "to-list").click();
        await byId(page, "delete-artifact").first().click();
        await byId(page, "confirm-yes").click();
        await byId(page, "artifacts-empty").waitFor();
        assert.equal((await world.api("/v1/artifacts")).artifacts.length, 0);
    });
});
