/* Snapshots and suspects: what one costs before, its progress, what is in it by type, object, path and tree; and what looks
 * like a leak. */

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { PATIENCE, LEAK, accessible, addressed, fakePage, inAddress, saved, tabTo, unbuilt } from "./findings.mjs";
import { byId, eventually, launch, open } from "./page.mjs";
import { World } from "./world.mjs";
import { groupsOf, partsOf, someOf } from "../../web/way.js";

const list = (p) => `view=snapshots&process=${p.id}`;
/** A snapshot that can be looked into, on the fake. */
const ready = (fake, p) => Object.assign(fake.findings.artifact(p, 1, "clone"), { state: "ready", progress: 1, eta_ms: null });
const focused = (page, key) => eventually(`the focus is on ${key}`, async () => {
    const now = await page.evaluate(() => document.activeElement.dataset.key ?? document.activeElement.tagName);
    return now === key || now;
});

/* A way, of words "TYPE OBJECT LABEL" by the fields between them */
const wayOf = (text, omitted = 0, after = null) => {
    const words = text.split(" -");
    const path = words.map((word, index) => {
        const [, field = null, rest] = index ? /^(\S+)-> (.*)$/.exec(word) : [null, null, word];
        const [type, object, label = null] = rest.split(" ");
        const [, name, at] = /^(.*?)(?:\[(\d+)\])?$/.exec(field ?? "");
        return { type, object: Number(object), label, field: field === null ? null : name, index: at === undefined ? null : Number(at), kind: "field", retained_bytes: 1 };
    });
    return { path, root: "external", omitted, omitted_after: after };
};

test("a way tells what repeats once, and a hole between what is alike is of its kind", () => {
    const told = (way) => partsOf(way).map(({ steps, by, times, about }) => `${about ? "~" : ""}${times} ${steps[0]?.type ?? "hole"}${by === null ? "" : `.${by}`}`);
    const row = Array.from({ length: 6 }, (_, n) => `-rest-> list ${n + 2}`).join(" ");
    assert.deepEqual(told(wayOf(`atom 1 line15 -content-> list 1 ${row} -first-> map 9`)), ["1 atom.content", "6 list.rest", "1 list.first", "1 map"]);
    assert.deepEqual(told(wayOf("atom 1 -content-> list 1 -rest-> list 2 -first-> map 9")), ["1 atom.content", "1 list.rest", "1 list.first", "1 map"]);
    assert.deepEqual(told(wayOf(`atom 1 -content-> list 1 ${row} -first-> map 9`, 1000, 4)), ["1 atom.content", "~1006 list.rest", "1 list.first", "1 map"]);
    assert.deepEqual(told(wayOf("atom 1 -content-> list 1 -x-> map 2 -y-> atom 3", 7, 2)), ["1 atom.content", "1 list.…", "~7 hole.…", "1 map.y", "1 atom"]);
    assert.deepEqual(told(wayOf("atom 1")), ["1 atom"]);
});

test("ways that go alike are one, with what they have in common; places in arrays and objects do not count, labels do", () => {
    const groups = groupsOf([wayOf("vec 1 -items[3]-> map 2 -items[0]-> node 3 -next-> leaf 7"), wayOf("vec 1 -items[3]-> map 2 -items[5]-> node 4 -next-> leaf 8"),
        wayOf("vec 1 -items[4]-> map 2 other -items[0]-> leaf 9"), wayOf("vec 1 -items[3]-> map 2 -items[9]-> node 4 -next-> node 5 -next-> node 6 -next-> leaf 10")]);
    assert.deepEqual(groups.map(({ count, shared }) => [count, shared]), [[3, 2], [1, 3]]);
    assert.deepEqual(groupsOf([]), []);
    assert.deepEqual([someOf([1, 2], 8), someOf(Array.from({ length: 100 }, (_, n) => n), 4)], [[1, 2], [12, 37, 62, 87]]);
});

describe("snapshots on a bent tallyd", () => {
    let browser;
    before(async () => { browser = await launch(); });
    after(() => browser?.close());

    test("one is taken, watched until it is ready, opened and deleted", PATIENCE, async () => {
        const { page, faults, end } = await fakePage(browser, list);
        await byId(page, "artifacts-empty").waitFor();
        await eventually("the cost is told", async () => /36,000 objects.*Pauses the program for about 2\.30 ms; then a copy of the process is read/.test(await byId(page, "take-cost").textContent()) || byId(page, "take-cost").textContent());
        await accessible(page, "no snapshots");
        await byId(page, "take-heap").selectOption("2");
        await byId(page, "take-cost").getByText("1,200 objects").waitFor();
        await byId(page, "take-snapshot").click();
        await byId(page, "take-answer").getByText("took 240 objects").waitFor();
        await page.locator('tr[data-state="ready"]').waitFor();
        await accessible(page, "the list");
        await page.locator("h1").focus(); /* from here by keyboard: to the row, into it, to its button */
        await tabTo(page, '[data-testid="artifacts"]');
        await page.keyboard.press("ArrowDown");
        await page.keyboard.press("ArrowRight");
        assert.equal(await page.evaluate(() => document.activeElement.tagName), "A");
        await page.keyboard.press("ArrowRight");
        assert.equal(await page.evaluate(() => document.activeElement.dataset.testid), "delete-artifact");
        await page.keyboard.press("Enter");
        await byId(page, "confirm-no").waitFor();
        await page.keyboard.press("Escape");
        await byId(page, "artifacts").focus();
        await page.keyboard.press("Enter");
        await byId(page, "artifact").waitFor();
        await page.waitForFunction(() => document.activeElement.id === "title"); /* reading begins anew in another page of the view */
        await tabTo(page, '[data-testid="delete-artifact"]');
        await page.keyboard.press("Enter");
        await byId(page, "confirm-no").waitFor();
        await tabTo(page, '[data-testid="confirm-yes"]');
        await page.keyboard.press("Enter");
        await byId(page, "artifacts-empty").waitFor();
        assert.deepEqual(faults, []);
        await end();
    });

    test("a pause that is too long is refused, and forced by who confirms it", PATIENCE, async () => {
        const { page, faults, fake, end } = await fakePage(browser, list, (one) => { one.findings.refused = true; });
        await byId(page, "take-cost").getByText("at its own safepoints").waitFor();
        await byId(page, "take-mode").selectOption("clone");
        await byId(page, "take-refused").waitFor();
        await accessible(page, "refused");
        await tabTo(page, '[data-testid="take-snapshot"]');
        await page.keyboard.press("Enter");
        await byId(page, "confirm-cost").getByText("48.0 ms").waitFor();
        await page.keyboard.press("Escape");
        await byId(page, "confirm").waitFor({ state: "detached" });
        assert.equal(fake.findings.artifacts.length, 0);
        await page.keyboard.press("Enter");
        await byId(page, "confirm-yes").waitFor();
        await page.keyboard.press("Tab");
        await page.keyboard.press("Enter");
        await page.locator('tr[data-state="ready"]').waitFor();
        assert.deepEqual(faults, []);
        await end();
    });

    test("types lead to their objects, and to who holds them", PATIENCE, async () => {
        const { page, faults, fake, process, end } = await fakePage(browser, list, ready);
        await page.goto(`${fake.url}#${list(process)}&artifact=${fake.findings.artifacts[0].id}`);
        await byId(page, "holders").waitFor();
        await accessible(page, "a snapshot");
        await page.locator('[data-testid="artifact-types"] tr[data-type="Node"] a').click();
        await byId(page, "objects").waitFor();
        assert.equal(await inAddress(page, "type"), "Node");
        await byId(page, "held-way").first().waitFor();
        assert.equal(await byId(page, "held-way").first().locator(".node").first().textContent(), "Session #1 a root");
        assert.match(await byId(page, "held-way").first().locator(".node").last().textContent(), /^Node/);
        await accessible(page, "who holds a type's objects");
        await byId(page, "held").getByText(/to 8 of the \d+ objects below/).waitFor();
        await byId(page, "held-all").click();
        await byId(page, "held").getByText(/to each of the \d+ objects below/).waitFor();
        assert.equal(await inAddress(page, "held"), "all");
        assert.equal(await page.evaluate(() => document.activeElement.id), "held-title");
        await byId(page, "any-type").click();
        await byId(page, "held").waitFor({ state: "detached" });
        assert.deepEqual(faults, []);
        await end();
    });

    test("objects come page by page, in orders; all of it in the address", PATIENCE, async () => {
        const { page, faults, fake, process, end } = await fakePage(browser, list, ready);
        await page.goto(`${fake.url}#${list(process)}&artifact=${fake.findings.artifacts[0].id}&tab=objects`);
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
        assert.deepEqual(faults, []);
        await end();
    });

    test("an object tells why it is alive and what it goes with", PATIENCE, async () => {
        const { page, faults, fake, process, end } = await fakePage(browser, list, ready);
        await page.goto(`${fake.url}#${list(process)}&artifact=${fake.findings.artifacts[0].id}&tab=objects&sort=external&roots=1`);
        await byId(page, "objects-count").getByText("7 rows").waitFor();
        await byId(page, "objects").focus();
        await page.keyboard.press("Home");
        await page.keyboard.press("Enter");
        await byId(page, "object").waitFor();
        const object = Number(await byId(page, "object").getAttribute("data-object"));
        await page.locator('[data-testid="path"] .chain li').last().getByText(`#${object}`).waitFor();
        assert.equal(await page.locator('[data-testid="path"] .chain .node').first().textContent(), "Session #1 a root");
        assert.match(await page.locator('[data-testid="path"] .edge code').first().textContent(), /^children\[\d\]$/);
        const steps = (chain) => page.locator(`[data-testid="${chain}"] .chain li`).count();
        await eventually("as many dominators", async () => await steps("dominator-chain") === await steps("path") || steps("dominator-chain"));
        await accessible(page, "an object");
        await page.locator('[data-testid="edges-in"] tbody a').first().click();
        await addressed(page, "object", String(Math.floor((object + 1) / 3)));
        await page.locator('[data-testid="edges-out"] tr', { hasText: `#${object}` }).waitFor();
        await page.goBack();
        await addressed(page, "object", String(object));
        assert.deepEqual(faults, []);
        await end();
    });

    test("suspects by keyboard alone: the candidates, a filter, and the way to who holds a type", PATIENCE, async () => {
        const { page, faults, fake, end } = await fakePage(browser, (p) => `view=suspects&process=${p.id}`, ready);
        await byId(page, "growing").first().waitFor();
        await page.locator("h1").focus();
        await tabTo(page, '[data-testid="ask-candidates"]');
        await page.keyboard.press("Enter");
        await byId(page, "always-section").getByText("Make them immortal").waitFor();
        await page.locator("h1").focus();
        await tabTo(page, '[data-testid="suspects-filter"]');
        await page.keyboard.type("Cache");
        await eventually("one is left", async () => await byId(page, "growing").count() === 1);
        await page.locator('[data-testid="growing"] [data-testid="next-objects"]', { hasText: "snapshot of" }).waitFor();
        await tabTo(page, '[data-testid="growing"] [data-testid="next-objects"]');
        await page.keyboard.press("Enter");
        await byId(page, "held-way").first().waitFor();
        assert.equal(await inAddress(page, "artifact"), fake.findings.artifacts[0].id);
        assert.equal(await inAddress(page, "type"), "CacheEntry");
        await page.goBack();
        await byId(page, "verdict").waitFor();
        fake.findings.artifacts = [];
        await page.reload();
        await page.locator('[data-testid="growing"] [data-testid="next-objects"]').getByText("Take a snapshot").waitFor();
        await page.locator("h1").focus();
        await tabTo(page, '[data-testid="growing"] [data-testid="next-objects"]');
        await page.keyboard.press("Enter");
        await byId(page, "take-why").getByText("CacheEntry").waitFor();
        await tabTo(page, '[data-testid="take-snapshot"]');
        await page.keyboard.press("Enter");
        await byId(page, "open-taken").waitFor();
        await tabTo(page, '[data-testid="open-taken"]');
        await page.keyboard.press("Enter");
        await byId(page, "held-way").first().waitFor();
        assert.deepEqual(faults, []);
        await end();
    });

    test("one that is deleted while it is looked at says so; a reader is told what he may not do", PATIENCE, async () => {
        const { page, faults, fake, process, end } = await fakePage(browser, list, ready);
        await page.goto(`${fake.url}#${list(process)}&artifact=${fake.findings.artifacts[0].id}`);
        await byId(page, "artifact-types").waitFor();
        fake.findings.artifacts = [];
        await byId(page, "artifact-gone").getByRole("link").click();
        await byId(page, "artifacts-empty").waitFor();
        fake.scopes = ["read"];
        await page.reload();
        await byId(page, "take-off").getByText("Read-only: this token's scope is read, and this needs control").waitFor();
        assert.ok(await byId(page, "take-snapshot").isDisabled());
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
        await focused(page, "2");
        await page.keyboard.press("ArrowRight");
        await tree.locator('[data-key="7"]').waitFor();
        await page.keyboard.press("End");
        await focused(page, "4");
        await page.keyboard.press("ArrowLeft");
        await focused(page, "1");
        await addressed(page, "open", "1.2");
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
        await byId(page, "verdict").getByText(/2 types grow by 54\.5 MiB an hour, most of it Session/).waitFor();
        assert.match(await byId(page, "growing").first().textContent(), /Sessionvery likely.*45\.8 MiB an hour.*Its least rose in 12 of 12 windows/s);
        assert.match(await byId(page, "reclaimed-said").textContent(), /of what the cycle collector frees is Node: make Node\.parent weak/);
        await byId(page, "external-section").locator("tbody tr").first().waitFor();
        await byId(page, "ask-candidates").click();
        await byId(page, "always-section").getByText("Make them immortal").waitFor();
        await accessible(page, "suspects");
        await byId(page, "suspects-filter").fill("Cache");
        await eventually("one is left", async () => await byId(page, "growing").count() === 1);
        await byId(page, "next-cycles").click();
        await eventually("its cycles", async () => await byId(page, "cycles-filter").inputValue() === "CacheEntry");
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
        await world.caughtUp(leak);
        assert.ok((await world.api(`/v1/processes/${id}/types?type=list`)).types[0].live_objects >= 600, "it keeps lists");
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
        await page.locator('tr[data-state="ready"]').waitFor();
        await page.locator('tr[data-state="ready"] a').first().click();
        await page.locator('[data-testid="artifact-types"] tr[data-type="list"] a').click();
        await byId(page, "held-way").first().locator(".node", { hasText: /^atom #/ }).waitFor(); /* that keeps them all */
        const { artifacts: [{ id: artifact }] } = await world.api("/v1/artifacts");
        const { types } = await world.api(`/v1/artifacts/${artifact}/types`);
        assert.ok(types.find(({ type }) => type === "list").objects >= 600);
        await page.locator('[data-testid="objects"] tbody tr a').nth(3).click();
        await byId(page, "object").waitFor();
        await page.locator('[data-testid="path"] .edge code', { hasText: /^(rest|content|first)$/ }).first().waitFor();
        const object = await byId(page, "object").getAttribute("data-object");
        const { path } = await world.api(`/v1/artifacts/${artifact}/objects/${object}/path`);
        await eventually("the whole path is drawn", async () => await page.locator('[data-testid="path"] .chain li').count() === path.length);
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
        await page.goto(`http://${world.address}/#view=snapshots&process=${id}`);
        await page.locator('tr[data-state="ready"] a').first().click();
        await byId(page, "artifact").waitFor();
        await tabTo(page, '[data-testid="downloads"] summary');
        await page.keyboard.press("Enter");
        await tabTo(page, '[data-testid="download-heapsnapshot"]');
        const heap = await saved(page, () => page.keyboard.press("Enter"));
        assert.match(heap.name, /^leak-heap1-[0-9a-f]{16}\.heapsnapshot$/);
        const { snapshot, nodes } = JSON.parse(heap.text);
        assert.equal(nodes.length, snapshot.node_count * snapshot.meta.node_fields.length);
        const [request] = await Promise.all([page.waitForRequest((one) => one.url().endsWith("/ticket")), saved(page, () => byId(page, "download-ndjson").click()).then((lines) => {
            assert.ok(lines.text.trim().split("\n").every((line) => JSON.parse(line)));
        })]);
        assert.deepEqual(request.postDataJSON(), { format: "ndjson" }); /* the browser itself loads it, not the page */
        assert.deepEqual(faults, []);
    });

    test("a snapshot can be deleted", PATIENCE, async () => {
        await page.goto(`http://${world.address}/#view=snapshots&process=${id}`);
        await byId(page, "delete-artifact").first().click();
        await byId(page, "confirm-yes").click();
        await byId(page, "artifacts-empty").waitFor();
        assert.equal((await world.api("/v1/artifacts")).artifacts.length, 0);
    });
});
