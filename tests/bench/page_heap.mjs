/* Whether the page's memory is flat while it streams: `node tests/bench/page_heap.mjs [MINUTES]`. A real tallyd, the demo
 * programs and one page a view, all of which stream at once; each minute the heap is told after a forced collection. The
 * slope is of the second half of an hour: by then rings are full, and the overview holds the collections of four windows, of
 * which it forgets a thousand at a time (some 0.9 MB). With what its residuals leave unsure. */

import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { byId, open } from "../browser/page.mjs";
import { World } from "../browser/world.mjs";

const MINUTES = Number(process.argv[2] ?? 60);
const VIEWS = ["fleet", "process", "events", "daemon"];
const demo = (name) => fileURLToPath(new URL(`../../src/mal/demo/${name}.mal`, import.meta.url));

/** A line through points [minutes, bytes]: bytes a minute, and twice its standard error. */
export function slopeOf(points) {
    const n = points.length;
    const mean = (at) => points.reduce((sum, point) => sum + point[at], 0) / n;
    const [x, y] = [mean(0), mean(1)];
    const spread = points.reduce((sum, point) => sum + (point[0] - x) ** 2, 0);
    const slope = points.reduce((sum, point) => sum + (point[0] - x) * (point[1] - y), 0) / spread;
    const rest = points.reduce((sum, point) => sum + (point[1] - y - slope * (point[0] - x)) ** 2, 0);
    return { slope, unsure: 2 * Math.sqrt(rest / (n - 2) / spread) };
}

async function heapOf(inspector) {
    await inspector.send("HeapProfiler.collectGarbage");
    const { usedSize } = await inspector.send("Runtime.getHeapUsage");
    const { nodes } = await inspector.send("Memory.getDOMCounters");
    return { usedSize, nodes };
}

const world = new World();
try {
    await world.start();
    world.program("bakery", "demo=cycles", demo("bakery"));
    world.program("orchard", "demo=waves", demo("orchard"));
    await sleep(2000);
    const id = (await world.api("/v1/processes")).processes.find(({ name }) => name === "bakery").id;
    const pages = [];
    for (const view of VIEWS) {
        const { page } = await open(world.browser, await world.link());
        await byId(page, "title").waitFor();
        await page.evaluate(([name, process]) => { location.hash = `#view=${name}${["process", "events"].includes(name) ? `&process=${process}` : ""}`; }, [view, id]);
        pages.push({ view, inspector: await page.context().newCDPSession(page), samples: [] });
    }
    for (let minute = 1; minute <= MINUTES; minute++) {
        await sleep(60_000);
        for (const { view, inspector, samples } of pages) {
            const { usedSize, nodes } = await heapOf(inspector);
            samples.push([minute, usedSize]);
            console.log(`PAGE heap ${view}\tminute ${minute}\t${usedSize}\tbytes\t${nodes} nodes`);
        }
    }
    for (const { view, samples } of pages) {
        const late = samples.slice(Math.floor(samples.length / 2));
        const { slope, unsure } = slopeOf(late);
        console.log(`PAGE heap ${view}\tslope\t${Math.round(slope)}\tbytes/min\t± ${Math.round(unsure)}, ${(late.at(-1)[1] / 1024 / 1024).toFixed(2)} MiB at the end of ${MINUTES} min`);
    }
} finally {
    await world.stop();
}
