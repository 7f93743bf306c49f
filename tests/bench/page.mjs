/* How fast and how big the page is, in real Chromium beside a real tallyd: `make bench-page`. Prints a line for each figure
 * and ends with 1 where one is beyond its goal. Its memory over time is page_heap.mjs's. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { byId, eventually, open } from "../browser/page.mjs";
import { BUILD, World } from "../browser/world.mjs";

const PAINTS = 7;
const SCROLL_MS = 6000;
const GOALS = { paint_ms: 1000, assets_bytes: 150 * 1024, frame_cpu_ms: 16, cpu_share: 0.6, watched_share: 0.25 };
const SECTIONS = (process.env.ONLY || "size,paint,watched,processes,types,events").split(",");

let failed = 0;
const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
function tell(what, figure, value, unit, goal = Infinity) {
    failed += value > goal;
    console.log(`PAGE ${what}\t${figure}\t${Math.round(value * 10) / 10}\t${unit}${goal < Infinity ? `\tgoal ${goal}${value > goal ? "\tMISSED" : ""}` : ""}`);
}

/** A host program of the scenarios; resolves once it has said its first line. */
async function host(world, name, ...args) {
    const child = spawn(join(BUILD, "hosts", name), args.map(String), { env: world.env, stdio: ["pipe", "pipe", "inherit"] });
    world.programs.push(child);
    await once(child.stdout, "data");
    return child;
}

/** All that is no answer of the API, compressed as it comes, without the heads, over a visit of every view. */
async function size(world, id) {
    const { page, close } = await open(world.browser, "about:blank");
    const inspector = await page.context().newCDPSession(page);
    const urls = new Map(), sizes = new Map();
    await inspector.send("Network.enable");
    inspector.on("Network.responseReceived", ({ requestId, response }) => urls.set(requestId, new URL(response.url).pathname));
    inspector.on("Network.dataReceived", ({ requestId, encodedDataLength }) => sizes.set(urls.get(requestId), (sizes.get(urls.get(requestId)) ?? 0) + encodedDataLength));
    await page.goto(await world.link());
    await byId(page, "link").waitFor();
    for (const view of await viewsOf(page, id)) {
        await page.evaluate(([to, process]) => { location.hash = `#view=${to}&process=${process}`; }, [view, id]);
        await sleep(300);
    }
    const assets = [...sizes].filter(([path]) => path && !path.startsWith("/v1/") && path !== "/metrics");
    for (const [path, bytes] of assets.sort((a, b) => b[1] - a[1]).slice(0, 5)) {
        tell("asset", path, bytes, "bytes compressed");
    }
    tell("assets", `${assets.length} files`, assets.reduce((sum, [, bytes]) => sum + bytes, 0), "bytes compressed", GOALS.assets_bytes);
    await close();
}

/** With an empty cache, until something stands there, and until the first figures do. */
async function paint(world, hash, ready, what) {
    const paints = [], figures = [];
    for (let i = 0; i < PAINTS; i++) {
        const { page, close } = await world.openAs("control", hash);
        await page.locator(ready).first().waitFor();
        const [first, there] = await page.evaluate(() => [performance.getEntriesByName("first-contentful-paint")[0].startTime, performance.now()]);
        paints.push(first);
        figures.push(there);
        await close();
    }
    tell(`paint ${what}`, "first", median(paints), "ms", GOALS.paint_ms);
    tell(`paint ${what}`, "first figures", median(figures), "ms");
}

/** CPU seconds of the page's main thread so far. */
async function threadTime(inspector) {
    const { metrics } = await inspector.send("Performance.getMetrics");
    return metrics.find(({ name }) => name === "ThreadTime").value;
}

/** Scrolls an element up and down while frames come, and tells how long the page's own frames were. On a machine that is
 * busy with other things frames are late for no fault of the page's: its CPU time a frame says what is its own. */
async function smooth(page, selector, what) {
    const inspector = await page.context().newCDPSession(page);
    await inspector.send("Performance.enable");
    const before = await threadTime(inspector);
    const { gaps, long } = await page.evaluate(([selector_, ms]) => new Promise((done) => {
        const element = document.querySelector(selector_);
        const gaps_ = [];
        let long_ = 0, last = 0, down = 1;
        const observer = new PerformanceObserver((list) => { long_ += list.getEntries().reduce((sum, { duration }) => sum + duration, 0); });
        observer.observe({ type: "longtask" });
        const start = performance.now();
        const step = (now) => {
            if (last) {
                gaps_.push(now - last);
            }
            last = now;
            if (element) {
                element.scrollTop += 90 * down;
                down = element.scrollTop <= 0 ? 1 : element.scrollTop >= element.scrollHeight - element.clientHeight - 1 ? -1 : down;
            }
            if (now - start < ms) {
                requestAnimationFrame(step);
            } else {
                observer.disconnect();
                done({ gaps: gaps_, long: long_ / ms });
            }
        };
        requestAnimationFrame(step);
    }), [selector, SCROLL_MS]);
    const spent = await threadTime(inspector) - before;
    const sorted = gaps.sort((a, b) => a - b);
    tell(what, "CPU of the main thread", spent / SCROLL_MS * 1e5, "% of a core", GOALS.cpu_share * 100);
    tell(what, "CPU a frame", spent / gaps.length * 1000, "ms", GOALS.frame_cpu_ms);
    tell(what, "frames", gaps.length / SCROLL_MS * 1000, "a second");
    tell(what, "frame p50", sorted[Math.floor(sorted.length * 0.5)], "ms");
    tell(what, "frame p95", sorted[Math.floor(sorted.length * 0.95)], "ms");
    tell(what, "frame longest", sorted.at(-1), "ms");
    tell(what, "time in long tasks", long * 100, "%");
}

/** What a view costs that is only looked at, while its program works: what is kept open all day. */
async function watched(page, what) {
    const inspector = await page.context().newCDPSession(page);
    await inspector.send("Performance.enable");
    const before = await threadTime(inspector);
    await sleep(SCROLL_MS);
    tell(`watching ${what}`, "CPU of the main thread", (await threadTime(inspector) - before) / SCROLL_MS * 1e5, "% of a core", GOALS.watched_share * 100);
    await inspector.detach();
}

async function go(page, hash, ready) {
    await page.evaluate((to) => { location.hash = to; }, hash);
    await page.locator(ready).first().waitFor();
    await sleep(1000);
}

/** All views that the page has, those of a process too. */
async function viewsOf(page, process) {
    await page.evaluate((id) => { location.hash = `#view=process&process=${id}`; }, process);
    await byId(page, "process-nav").waitFor();
    return page.locator("[data-testid^=to-]").evaluateAll((links) => links.map((link) => link.dataset.testid.slice(3)));
}

const SCROLLER = ".table-scroll";
const demo = (name) => fileURLToPath(new URL(`../../src/mal/demo/${name}.mal`, import.meta.url));
const world = new World();
try {
    await world.start();
    world.program("bakery", "demo=cycles", demo("bakery"));
    world.program("orchard", "demo=waves", demo("orchard"));
    await eventually("both are listed", async () => (await world.api("/v1/processes")).processes.length === 2);
    const idOf = async (name) => (await world.api("/v1/processes?limit=1000")).processes.find((process) => process.name === name)?.id;
    const id = await idOf("bakery");
    if (SECTIONS.includes("size")) {
        await size(world, id);
    }
    if (SECTIONS.includes("paint")) {
        await paint(world, "#view=fleet", "[data-testid=processes] tbody tr[data-key]", "processes");
        await paint(world, `#view=process&process=${id}`, "[data-testid=figures]", "overview");
    }
    const { page } = await open(world.browser, await world.link());
    await byId(page, "link").waitFor();
    if (SECTIONS.includes("watched")) {
        for (const view of await viewsOf(page, id)) {
            await page.evaluate(([to, process]) => { location.hash = `#view=${to}&process=${process}`; }, [view, id]);
            await sleep(2500);
            await watched(page, view);
        }
    }
    if (SECTIONS.includes("events")) {
        await host(world, "bazaar", 50, 1_000_000);
        await eventually("it is listed", async () => Boolean(await idOf("bazaar")));
        const busy = await idOf("bazaar");
        await go(page, `#view=events&process=${busy}`, "[data-testid=tail] tr[data-kind]");
        await sleep(1500);
        await smooth(page, "nothing", "events at 1 M/s");
        const rate = await page.locator("[data-rate=alloc]").textContent();
        const told = await page.locator("[data-rate=shown]").textContent();
        console.log(`PAGE events at 1 M/s\tallocated ${rate}, told ${told}`);
        world.programs.pop().kill("SIGKILL");
    }
    if (SECTIONS.includes("types")) {
        await host(world, "bazaar", 10_000, 200_000);
        await eventually("it is listed", async () => (await world.api("/v1/processes")).processes.some(({ name, state }) => name === "bazaar" && state === "live"));
        const many = (await world.api("/v1/processes?state=live")).processes.find(({ name }) => name === "bazaar").id;
        await go(page, `#view=types&process=${many}`, "[data-testid=types] tbody tr[data-key]");
        await eventually("all are listed", async () => /^10,0\d\d rows$/.test(await byId(page, "types-count").textContent()) || await byId(page, "types-count").textContent(), 60_000);
        await sleep(2000);
        await smooth(page, SCROLLER, "10,000 types");
        world.programs.pop().kill("SIGKILL");
    }
    if (SECTIONS.includes("processes")) {
        const swarm = await host(world, "swarm", 1000);
        swarm.stdin.write("go\n");
        await eventually("1,000 are attached", async () => (await world.api("/v1/info")).processes.live >= 1000 || (await world.api("/v1/info")).processes, 60_000);
        await go(page, "#view=fleet", "[data-testid=processes] tbody tr[data-key]");
        await sleep(2000);
        await smooth(page, SCROLLER, "1,000 processes");
        await paint(world, "#view=fleet", "[data-testid=processes] tbody tr[data-key]", "1,000 processes");
    }
} finally {
    await world.stop();
}
process.exitCode = failed ? 1 : 0;
