/* What the fake tallyd says of types, cycles, suspects, snapshots and comparisons: a program that leaks through a cache,
 * and whose trees have parents. A test bends `fake.findings`. */

const iso = (ms) => new Date(ms).toISOString();
const NAMES = ["Session", "CacheEntry", "Node", "closure", "environment", "list", "string", "symbol", "Row", "Parser"];

/** Types of a big program: what a list of them has to bear. */
export const manyTypes = (count) => Array.from({ length: count }, (_, n) => `Type${String(n).padStart(5, "0")}`);

export class Findings {
    names = NAMES;
    baselines = [];
    artifacts = [];
    objects = 240;
    nothing = false; /* nothing is suspected, nothing was found */
    refused = false; /* a cloned snapshot would pause for too long */
    asked = false; /* the program was asked for its candidates */
    turn = 0;

    constructor(fake) {
        this.fake = fake;
    }

    view(body) {
        return { as_of: iso(Date.now()), as_of_mono_ns: Number(process.hrtime.bigint()), seq: this.fake.seq, ...body };
    }

    type(name, index) {
        const wave = Math.round(20 * Math.sin(this.turn / 3 + index));
        const grown = index < 2 ? this.turn * (40 - 10 * index) : 0;
        const live = Math.max(1, Math.round(9000 / (index + 1)) + grown + wave);
        const freed = Math.round(live * (2 + index % 5));
        const cycle = [0.0, 0.0, 0.97, 0.5, 0.42, 0.05][index % 6];
        const size = 16 * (1 + index % 7);
        const by = { refcount: Math.round(freed * (1 - cycle)), cycle: Math.round(freed * cycle) };
        return { name, tracked: index % 7 !== 6, size_bytes: index % 8 === 6 ? null : size, live_objects: live, live_bytes: live * size,
            allocations: live + freed, allocated_bytes: (live + freed) * size, moved: { in: 0, out: 0 }, frees: by,
            freed_bytes: { refcount: by.refcount * size, cycle: by.cycle * size }, events: { allocations: live + freed, frees: by },
            rates: { allocations_per_s: Math.round(live / 9), frees_per_s: { refcount: Math.round(by.refcount / 30), cycle: Math.round(by.cycle / 30) } },
            lifetimes: { known: freed, unknown: 3, short_lived: Math.round(freed * 0.8), short_lived_below_bytes: 1 << 20, one_page_in: 1 } };
    }

    types(url) {
        const names = url.searchParams.get("type") ? [url.searchParams.get("type")] : this.names;
        const limit = Number(url.searchParams.get("limit") ?? 1000);
        const from = Number(url.searchParams.get("cursor") ?? 0);
        const baseline = this.baselines.find(({ id }) => id === url.searchParams.get("baseline"));
        const types = names.slice(from, from + limit).map((name) => {
            const index = this.names.indexOf(name);
            const type = this.type(name, index < 0 ? 0 : index);
            const then = baseline?.live.get(name) ?? { live_objects: 0, live_bytes: 0 };
            return { ...type,
                ...url.searchParams.get("trend") ? { trend: { window_s: 4, end_mono_ns: 1e12, live_bytes: Array.from({ length: 12 }, (_, n) => Math.round(type.live_bytes * (0.4 + n / 20))) } } : {},
                ...baseline ? { since_baseline: { live_objects: type.live_objects - then.live_objects, live_bytes: type.live_bytes - then.live_bytes, allocations: 0, allocated_bytes: 0, frees: { refcount: 0, cycle: 0 } } } : {},
                ...url.searchParams.get("histograms") ? {
                    sizes: [16, 32, 48, 96].map((bytes, n) => ({ bytes, or_more: n === 3, count: 400 >> n })),
                    lifetime_ns: Array.from({ length: 16 }, (_, n) => ({ from: 2 ** (n + 10), count: Math.round(900 * Math.exp(-((n - 5) ** 2) / 9)) })),
                    lifetime_bytes: Array.from({ length: 12 }, (_, n) => ({ from: 2 ** (n + 6), count: Math.round(500 * Math.exp(-((n - 7) ** 2) / 6)) })) } : {} };
        });
        return this.view({ types, next_cursor: from + limit < names.length ? String(from + limit) : null });
    }

    cycles() {
        const shapes = this.nothing ? [] : [
            ["Node.children[] -> Node.parent", 41_200, 96_400, 6_200_000, "Node.parent", "its name says that it leads back to what holds it"],
            ["closure.env -> environment.items[]", 5120, 10_240, 491_520, "environment.items[]", "many of its type hold few of the next: the few can be found otherwise, or outlive the many"],
            ["Parser.state -> State.owner -> Token.stream[]", 310, 930, 84_000, "State.owner", "its name says that it leads back to what holds it"],
            ["CacheEntry.next", 12, 4096, 262_144, "CacheEntry.next", "it alone closes the cycle"], ["A.b -> B.c -> C.d -> (more)", 2, 40, 4800]];
        return this.view({ cycles: shapes.map(([shape, count, objects, bytes, edge, reason], index) => ({ heap: 1, shape, count, objects, bytes, object: 100 + index,
            last_mono_ns: Number(process.hrtime.bigint()) - 4e9 * (index + 1), weaken: edge ? { edge, reason } : null })), complete: true, next_cursor: null, heaps: [] });
    }

    forecast(p) {
        const collect = [0, 1, 2].map((generation) => ({ generation, objects: 12_000 * (generation + 1), pause_ns: 310_000 * (generation + 1),
            least_pause_ns: 280_000, most_pause_ns: 990_000, runs: 6, sliced: false, over_max_pause: false, reason: null }));
        const clone = this.refused ? 48_000_000 : 2_300_000;
        const snapshot = { mode: this.refused ? "slices" : "clone", pause_ns: this.refused ? 1_000_000 : clone, clone_pause_ns: clone, max_pause_ns: 10_000_000,
            duration_ns: 410_000_000, objects: 36_000, bytes: 2_800_000, measured: true, allowed: true, reason: this.refused ? "pause_too_long" : null };
        return this.view({ id: p.id, collect, snapshot, heaps: [{ n: 1, collect, snapshot }, { n: 2, collect, snapshot: { ...snapshot, objects: 1200, bytes: 90_000 } }] });
    }

    suspects() {
        const how = (more) => ({ complete: true, detail: null, ...more });
        const completeness = { growing: how({ watched_s: 3600, rows: 2 }), reclaimed: how({}), external: { complete: false, detail: "not known: take a snapshot" },
            always_alive: this.asked ? how({ as_of: iso(Date.now()) }) : { complete: false, detail: "not known: GET …/candidates asks the program for them" } };
        const collector = { examined: 120_000, collected: 30_000, pause_ns: 9e8 };
        if (this.nothing) {
            return this.view({ growing: [], reclaimed: [], collector, always_alive: null, external: null, completeness });
        }
        const freed = this.names.slice(0, 10).map((name, index) => this.type(name, index)).filter(({ frees }) => frees.cycle > 0);
        const all = freed.reduce((sum, { frees }) => sum + frees.cycle, 0);
        const growing = (type, slope, confidence, reason, rises) => ({ heap: 1, type, live_objects: 18_200, live_bytes: 12_400_000, slope_bytes_per_hour: slope, slope_objects_per_hour: 9000, confidence, reason,
            windows: 12, window_s: 300, duration_s: 3600, rises, steady: 0.9, collections: 84, live_bytes_then: Array.from({ length: 12 }, (_, n) => 8_000_000 + n * (n % 4 === rises % 4 ? 210_000 : 370_000)), links: {} });
        return this.view({ collector, completeness, external: this.artifacts.length ? [{ heap: 1, type: "Session", references: 6, objects: 41, roots: 6, retained_bytes: 90_000, artifact: this.artifacts[0].id }] : null,
            growing: [growing("Session", 48_000_000, 0.93, "its least rose in 12 of 12 windows of 5 minutes, through 84 collections", 12), growing("CacheEntry", 9_100_000, 0.62, "its least rose in 10 of 12 windows of 5 minutes, through 84 collections", 10)],
            reclaimed: freed.map(({ name, frees }) => ({ type: name, by_refcount: frees.refcount, by_cycle: frees.cycle, share: frees.cycle / (frees.refcount + frees.cycle), share_of_collected: frees.cycle / all,
                cycle: name === "Node" ? { shape: "Node.children[] -> Node.parent", weaken: { edge: "Node.parent", reason: "its name says that it leads back to what holds it" } } : null })),
            always_alive: this.asked ? [{ heap: 1, type: "environment", candidates: 120_000, survived: 119_800, advice: { do: "immortal", reason: "they live as long as the program" } }] : null });
    }

    /* ---- snapshots */

    artifact(p, heap, mode) {
        const artifact = { id: `00000000000000${String(this.artifacts.length + 10)}`, kind: "snapshot", process: p.id, name: p.name, heap, taken_at: iso(Date.now()), objects: this.objects, edges: this.objects * 2,
            bytes: this.objects * 96, size_bytes: this.objects * 30, mode: mode === "slices" ? "slices" : "clone", instant: mode !== "slices", pause_ns: 2_100_000, state: "receiving", progress: 0.2, eta_ms: 900, problem: null,
            summary: { types: 10, native_bytes: 0, weak_edges: 0, roots: 7, declared_roots: 1, external_roots: 6, immortal_roots: 0, external_references: 6, gone_edges: 3, excess_edges: 0, garbage_objects: 4, garbage_bytes: 384, analysis_ns: 1e6 } };
        this.artifacts.unshift(artifact);
        setTimeout(() => artifact.state === "receiving" && Object.assign(artifact, { state: "analysing", progress: 0.5, eta_ms: 400 }), 250);
        setTimeout(() => artifact.state === "analysing" && Object.assign(artifact, { state: "ready", progress: 1, eta_ms: null }), 700);
        return artifact;
    }

    /** Objects in a tree: n's children are 3n-1, 3n and 3n+1; so all of it is known from a number. */
    object(n) {
        const index = n === 1 ? 0 : 1 + n % (this.names.length - 1);
        let size = 0;
        for (let [low, high] = [n, n]; low <= this.objects; [low, high] = [3 * low - 1, 3 * high + 1]) {
            size += Math.min(high, this.objects) - low + 1;
        }
        return { object: n, type: this.names[index], label: n % 5 === 0 ? `session ${n} of alice` : null, root: n === 1 ? "declared" : n % 40 === 0 ? "external" : null, flags: n === 1 ? ["immortal"] : [], garbage: false,
            bytes: 96, native_bytes: 0, retained_bytes: 96 * size, references: 1 + n % 3, declared: n === 1 ? 1 : 0, external: n % 40 === 0 ? 1 : 0, edges: this.children(n).length, referrers: n > 1 ? 1 : 0,
            dominated: this.children(n).length, distance: Math.floor(Math.log(2 * n) / Math.log(3)), dominator: n === 1 ? null : Math.floor((n + 1) / 3) };
    }

    link(n, index) {
        const { object, type, label, retained_bytes } = this.object(n);
        return { object, type, label, retained_bytes, kind: index === null ? null : "trailing", field: index === null ? null : "children", index };
    }

    children(n) {
        return n === 0 ? [1] : [3 * n - 1, 3 * n, 3 * n + 1].filter((child) => child <= this.objects);
    }

    page(url, name, rows) {
        const limit = Number(url.searchParams.get("limit") ?? 100);
        const from = Number(url.searchParams.get("cursor") ?? 0);
        return { [name]: rows.slice(from, from + limit), next_cursor: from + limit < rows.length ? String(from + limit) : null };
    }

    sorted(url) {
        const sort = url.searchParams.get("sort") ?? "retained_bytes";
        const type = url.searchParams.get("type");
        const rows = Array.from({ length: this.objects }, (_, n) => this.object(n + 1)).filter((one) => (!type || one.type === type) && (!url.searchParams.get("roots") || one.root));
        return rows.sort((a, b) => b[sort] - a[sort] || a.object - b.object);
    }

    inside(url, part, n, more) {
        if (part === "types") {
            const rows = new Map();
            this.sorted(new URL("x:/")).forEach((one) => {
                const row = rows.get(one.type) ?? { type: one.type, type_row: rows.size, objects: 0, bytes: 0, native_bytes: 0, retained_bytes: 0, roots: 0, external: 0, garbage_objects: 0, garbage_bytes: 0 };
                rows.set(one.type, { ...row, objects: row.objects + 1, bytes: row.bytes + one.bytes, retained_bytes: Math.max(row.retained_bytes, one.retained_bytes), roots: row.roots + (one.root ? 1 : 0), external: row.external + one.external });
            });
            return this.page(url, "types", [...rows.values()]);
        }
        if (part === "dominators") {
            return this.page(url, "dominators", this.children(Number(url.searchParams.get("object") ?? 0)).map((child) => this.object(child)));
        }
        if (part === "objects" && !n) {
            return this.page(url, "objects", this.sorted(url));
        }
        if (part !== "objects" || Number(n) > this.objects) {
            return null;
        }
        return this.ofObject(url, Number(n), more);
    }

    ofObject(url, n, more) {
        const parent = Math.floor((n + 1) / 3);
        const place = (child) => child - (3 * Math.floor((child + 1) / 3) - 1);
        if (more === "path") {
            const path = [];
            for (let at = n; at > 1; at = Math.floor((at + 1) / 3)) {
                path.unshift(this.link(at, place(at)));
            }
            return { path: [this.link(1, null), ...path], root: "declared", omitted: 0, omitted_after: null };
        }
        const edges = this.children(n).map((child) => this.link(child, place(child)));
        const referrers = n > 1 ? [{ ...this.link(parent, place(n)), times: 1 }] : [];
        return more === "edges" ? this.page(url, "edges", edges) : more === "referrers" ? this.page(url, "referrers", referrers) : this.object(n);
    }

    compare(url) {
        const side = (word) => {
            const baseline = this.baselines.find(({ id }) => id === word);
            return baseline ? [{ name: "bakery", baseline: word, taken_at: baseline.taken_at }, baseline.live]
                : [{ name: "bakery", as_of: iso(Date.now()) }, new Map([...this.names, "Fresh"].map((name, index) => [name, index === 7 ? { live_objects: 0, live_bytes: 0 } : this.type(name, index)]))];
        };
        const [[a, then], [b, now]] = [side(url.searchParams.get("a")), side(url.searchParams.get("b"))];
        const types = [...new Set([...then.keys(), ...now.keys()])].map((type) => {
            const one = (figures) => ({ objects: figures?.live_objects ?? 0, bytes: figures?.live_bytes ?? 0 });
            const [x, y] = [one(then.get(type)), one(now.get(type))];
            const state = !x.objects && y.objects ? "new" : x.objects && !y.objects ? "gone" : y.objects > x.objects ? "grown" : y.objects < x.objects ? "shrunk" : "same";
            return { type, state, a: x, b: y, delta_objects: y.objects - x.objects, delta_bytes: y.bytes - x.bytes };
        });
        const order = ["new", "grown", "shrunk", "gone", "same"];
        types.sort((x, y) => order.indexOf(x.state) - order.indexOf(y.state) || Math.abs(y.delta_bytes) - Math.abs(x.delta_bytes));
        return { a, b, types, next_cursor: null };
    }

    history(url) {
        const at = Array.from({ length: 60 }, (_, n) => Math.round(Date.now() / 1000) - 15 * (60 - n));
        return { at, series: url.searchParams.get("series").split(",").map((name, row) => ({ name, kind: "gauge", unit: "bytes",
            last: at.map((_, n) => n < 8 ? null : Math.round(4e5 * (1 + row % 3) + n * 9000 * (row % 2) + 6e4 * Math.sin(n / 4 + row))) })) };
    }

    baseline(p) {
        const live = new Map(this.names.map((name, index) => [name, this.type(name, index)]).filter((_, index) => index !== 3));
        const figures = [...live.values()];
        const baseline = { id: `0a0b0c0d-b${this.baselines.length + 1}`, process: p.id, name: p.name, pid: p.pid, taken_at: iso(Date.now()), type_count: live.size, live,
            live_objects: figures.reduce((sum, type) => sum + type.live_objects, 0), live_bytes: figures.reduce((sum, type) => sum + type.live_bytes, 0) };
        this.baselines.unshift(baseline);
        return baseline;
    }

    /** An answer [status, body] for a route of ours, or null. */
    answer(method, url, body) {
        const [, , area, id, part, n, more] = url.pathname.split("/").map(decodeURIComponent);
        const told = (list) => list.map(({ live, ...rest }) => rest);
        if (area === "compare") {
            return [200, this.compare(url)];
        }
        if (area === "baselines") {
            return [200, { baselines: told(this.baselines) }];
        }
        if (area === "artifacts") {
            const artifact = this.artifacts.find((one) => one.id === id);
            if (!id) {
                return [200, { artifacts: this.artifacts, next_cursor: null }];
            }
            if (method === "DELETE") {
                this.artifacts = this.artifacts.filter((one) => one !== artifact);
                return [200, {}];
            }
            const answer = artifact && (part ? this.inside(url, part, n, more) : url.searchParams.get("format") ? { snapshot: {} } : artifact);
            return answer ? [200, answer] : [404, { code: "no_such_artifact", detail: "There is no such artifact" }];
        }
        const p = area === "processes" && this.fake.processes.find((one) => one.id === id);
        const what = part === "heaps" ? more : part;
        if (!p) {
            return null;
        }
        switch (`${method} ${what}`) {
        case "GET types": this.turn++; return [200, this.types(url)];
        case "GET cycles": return [200, this.cycles()];
        case "GET forecast": return [200, this.forecast(p)];
        case "GET candidates": this.asked = true; return [200, this.view({ candidates: [], complete: true, next_cursor: null, heaps: [] })];
        case "GET suspects": return [200, this.suspects()];
        case "GET baselines": return [200, { baselines: told(this.baselines) }];
        case "GET history": return url.searchParams.get("series")?.startsWith("type:") ? [200, this.history(url)] : null;
        case "POST baseline": return [200, this.fake.done(p, "baseline", { baseline: this.baseline(p).id })];
        case "POST collect": return body.dry_run ? [200, this.fake.done(p, "find_cycles", { unreachable: 1200 })] : null;
        case "POST snapshot":
            return this.refused && !body.force ? [409, { code: "pause_too_long", detail: "its 48 ms would exceed max_pause_us, which is 10 ms" }]
                : [200, this.fake.done(p, "snapshot", { artifact: this.artifact(p, Number(part === "heaps" ? n : 1), body.mode).id, objects: this.objects, bytes: this.objects * 96, mode: body.mode, instant: true, pause_ns: 2_100_000 })];
        default: return null;
        }
    }
}
