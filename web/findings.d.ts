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
    since_baseline?: { live_objects: number; live_bytes: number; allocations: number; allocated_bytes: number; frees: Frees };
}

export interface TypesPage extends View { types: TypeRow[]; next_cursor: string | null; baseline?: View }

export interface CycleRow { heap: number; shape: string | null; count: number; objects: number; bytes: number; object: number; last_mono_ns: number }

export interface CyclesPage extends View { cycles: CycleRow[]; complete: boolean; next_cursor: string | null }

export interface CollectForecast {
    generation: number; objects: number; pause_ns: number | null; least_pause_ns: number | null; most_pause_ns: number | null;
    runs: number; sliced: boolean; over_max_pause: boolean; reason: string | null;
}

export interface SnapshotForecast {
    mode: string | null; pause_ns: number | null; duration_ns: number | null; objects: number | null; bytes: number | null;
    allowed: boolean; reason: string | null;
}

export interface Forecast extends View {
    collect: CollectForecast[]; snapshot: SnapshotForecast | null;
    heaps: { n: number; collect: CollectForecast[]; snapshot: SnapshotForecast | null }[];
}

export type ArtifactState = "receiving" | "analysing" | "ready" | "failed";

export interface Artifact {
    id: string; kind: string; process: string; name: string; heap: number; taken_at: string; objects: number; edges: number; bytes: number;
    size_bytes: number; mode: string; instant: boolean; pause_ns: number | null; state: ArtifactState; progress: number;
    eta_ms: number | null; problem: string | null;
}

export interface ArtifactType { type: string; objects: number; bytes: number; retained_bytes: number; roots: number; external: number }

export interface SnapshotObject {
    object: number; type: string; label?: string | null; bytes: number; retained_bytes: number; references: number; external: number;
    flags?: string[]; dominator?: number | null; field?: string | null; weak?: boolean;
}

export interface Growing {
    type: string; windows: number; slope_bytes_per_hour: number; confidence: number; reason: string; live_objects: number; live_bytes: number;
}

export interface Suspects extends View {
    watched?: { types: number; windows: number; span_ns: number };
    growing: Growing[];
    reclaimed: { type: string; by_refcount: number; by_cycle: number; share: number }[];
    always_alive: { type: string; candidates: number; survived: number; advice: string }[];
    external: { type: string; references: number; objects: number; advice?: string; artifact?: string }[];
}

export interface PathStep { object: number; type: string; label?: string | null; field?: string | null }
