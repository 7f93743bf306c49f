/* The JSON of tallyd's API, as far as the views of types, cycles, suspects, snapshots and comparisons read it. */
import type { Frees, View } from "./types";

export interface Bucket { from: number; count: number }

export interface TypeRow {
    name: string; tracked: boolean; size_bytes: number | null; live_objects: number; live_bytes: number;
    allocations: number; allocated_bytes: number; frees: Frees; freed_bytes: Frees;
    rates?: { allocations_per_s: number; frees_per_s: Frees };
    lifetimes?: { known: number; unknown: number; short_lived: number; short_lived_below_bytes: number; one_page_in: number } | null;
    sizes?: { bytes: number; or_more: boolean; count: number }[];
    lifetime_ns?: Bucket[]; lifetime_bytes?: Bucket[];
    trend?: { window_s: number; end_mono_ns: number; live_bytes: number[] } | null;
    since_baseline?: { live_objects: number; live_bytes: number; allocations: number; allocated_bytes: number; frees: Frees };
}

export interface TypesPage extends View { types: TypeRow[]; next_cursor: string | null; baseline?: View }

export interface CycleRow { heap: number; shape: string | null; count: number; objects: number; bytes: number; object: number; last_mono_ns: number; weaken: Weaken | null }

export interface Weaken { edge: string; reason: string }

export interface CyclesPage extends View { cycles: CycleRow[]; complete: boolean; next_cursor: string | null }

export interface CollectForecast {
    generation: number; objects: number; pause_ns: number | null; least_pause_ns: number | null; most_pause_ns: number | null;
    runs: number; sliced: boolean; over_max_pause: boolean; reason: string | null;
}

export interface SnapshotForecast {
    mode: "clone" | "slices"; pause_ns: number; clone_pause_ns: number; max_pause_ns: number; duration_ns: number; objects: number; bytes: number;
    measured: boolean; allowed: boolean; reason: string | null;
}

export interface Forecast extends View {
    collect: CollectForecast[]; snapshot: SnapshotForecast | null;
    heaps: { n: number; collect: CollectForecast[]; snapshot: SnapshotForecast | null }[];
}

export interface Artifact {
    id: string; kind: string; process: string; name: string; heap: number; taken_at: string; objects: number; edges: number; bytes: number;
    size_bytes: number; mode: string; instant: boolean; pause_ns: number | null;
    state: "receiving" | "analysing" | "ready" | "failed"; progress: number; eta_ms: number | null; problem: string | null;
    summary?: ArtifactSummary | null;
}

export interface ArtifactSummary {
    types: number; native_bytes: number; weak_edges: number; roots: number; declared_roots: number; external_roots: number; immortal_roots: number;
    external_references: number; gone_edges: number; excess_edges: number; garbage_objects: number; garbage_bytes: number; analysis_ns: number;
}

export interface ArtifactType {
    type: string | null; type_row: number; objects: number; bytes: number; native_bytes: number; retained_bytes: number; roots: number;
    external: number; garbage_objects: number; garbage_bytes: number;
}

export interface SnapshotObject {
    object: number; type: string | null; label: string | null; root: string | null; flags: string[]; garbage: boolean; bytes: number;
    native_bytes: number; retained_bytes: number; references: number; declared: number; external: number; edges: number; referrers: number;
    dominated: number; distance: number | null; dominator: number | null;
}

export interface Link {
    object: number; type: string | null; label: string | null; retained_bytes: number | null; kind: string | null; field: string | null;
    index: number | null; times?: number;
}

export interface WayFromRoot { path: Link[]; root: string | null; omitted: number; omitted_after: number | null }

export interface Growing {
    heap: number; type: string; live_objects: number; live_bytes: number; slope_bytes_per_hour: number; slope_objects_per_hour: number;
    confidence: number; reason: string; windows: number; window_s: number; duration_s: number; rises: number; collections: number;
    live_bytes_then: number[];
}

export interface Completeness { complete: boolean; detail: string | null; rows?: number; watched_s?: number; types_left_out?: number; as_of?: string | null }

export interface Suspects extends View {
    growing: Growing[];
    reclaimed: { type: string; by_refcount: number; by_cycle: number; share: number; share_of_collected: number;
        cycle: { shape: string; weaken: Weaken | null } | null }[];
    collector: { examined: number; collected: number; pause_ns: number };
    always_alive: { heap: number; type: string; candidates: number; survived: number; advice: { do: string; reason: string } }[] | null;
    external: { heap: number; type: string; references: number; objects: number; roots: number; retained_bytes: number; artifact: string }[] | null;
    completeness: Record<"growing" | "reclaimed" | "always_alive" | "external", Completeness>;
}
