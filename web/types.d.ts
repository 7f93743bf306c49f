/* The JSON of tallyd's API, as far as the page reads it. */
export interface Field { path: string; kind: "gauge" | "counter"; unit: string; label: string; help: string }

export interface View { as_of: string; as_of_mono_ns: number; seq: number }

export interface Info extends View {
    version: string; start_id: string; pid: number; started_at: string; uptime_ns: number;
    fields: Field[]; managers: string[]; limits?: Record<string, number>;
    refused?: { reason: string; count: number; last_at: string }[];
}

export interface Frees { refcount: number; cycle: number }

export interface Summary {
    id: string; pid: number | null; uid: number; name: string; state: "live" | "gone";
    labels: Record<string, string>; library: string; attached_at: string; gone_at: string | null; end: string | null;
    complete: boolean; safepoint_age_ns: number | null;
    live_objects: number; live_bytes: number; allocations: number; frees: Frees; collections: number;
    exit?: { kind: "exit"; code: number } | { kind: "signal"; signal: number; name: string | null; core: boolean } | null;
    allocations_per_s: number; events_lost: number;
    pause_ns: number; max_pause_ns: number; p99_pause_ns: number; pause_ns_per_s: number; last_pause_ns: number | null;
    predicted_pause_ns: number | null; last_reason: string | null;
    enabled: boolean | null; manager: string | null;
    heaps: { n: number; live_objects: number; live_bytes: number; state: string }[];
}

export interface Fleet extends View { processes: Summary[]; next_cursor: string | null }

/* What is in force: null where heaps differ. */
export interface Settings {
    enabled: boolean | null; manager: string | null; thresholds: number[] | null; debug: string[] | null;
    max_pause_us: number | null; memory_limit_bytes: number | null;
    stress: { nth: number; every_decref: boolean } | null; access: "control" | "observe" | null;
    events: { level: string | null; written: number; lost: number; seen: number };
}

export interface Figures extends Settings {
    live_objects: number; live_bytes: number; allocations: number; allocated_bytes: number; frees: Frees;
    collections: number; last_pause_ns: number; safepoint_age_ns: number | null; counts: number[];
    generations: { collections: number; collected: number; uncollectable: number }[];
}

export interface HeapStats extends Figures {
    n: number; state: string; gone: boolean; complete: boolean; inconsistent: boolean; types_without_row: number;
}

export interface Stats extends View, Figures {
    id: string; pid: number | null; name: string; state: "live" | "gone"; complete: boolean; heaps: HeapStats[];
}

export interface Type {
    name: string; tracked: boolean; size_bytes: number | null; live_objects: number; live_bytes: number;
    allocations: number; allocated_bytes: number; frees: Frees;
}

export interface Types extends View { types: Type[] }

export interface Collection {
    heap: number; sequence: number; started_at: string; start_mono_ns: number; reason: string; generation: number;
    manager: string; scope: string; slices: number; pause_ns: number; phases: { find_ns: number; callback_ns: number; free_ns: number };
    examined: number; collected: number; freed_bytes: number; uncollectable: number;
    live_bytes_before: number; live_bytes_after: number; safepoint_wait_ns: number; operation: string | null;
}

export interface Collections extends View { collections: Collection[] }

export interface Config {
    enabled: boolean | null; manager: string | null; thresholds: number[] | null; debug: string[] | null;
    events: string | null; max_pause_us: number | null; memory_limit_bytes: number | null;
}

export type OperationState = "queued" | "waiting_for_safepoint" | "running" | "succeeded" | "failed" | "cancelled" | "expired";

export interface Operation {
    id: string; kind: string; process: string | null; process_count?: number; processes?: BatchResult[]; state: OperationState; code: string | null;
    detail?: string | null; deadline_ms: number; created_at: string; finished_at: string | null;
    safepoint_wait_ns: number | null; pause_ns: number | null;
    result: { collected?: number; freed_bytes?: number; frozen?: number; cleared?: number; unreachable?: number; objects?: number; artifact?: string | null; baseline?: string } & Partial<Config> | null;
    heaps: { n: number; state: string; collected: number | null; pause_ns?: number | null }[];
}

export interface BatchResult {
    id: string; state: OperationState; code: string | null; detail: string | null; result: Operation["result"];
    heaps: Operation["heaps"];
}

/* What became of a control that somebody used on this page. */
export interface Answer {
    asked: string; tone: "busy" | "good" | "bad"; text: string; operation: string | null;
}

export interface Link { state: "connecting" | "live" | "offline"; since: number; retryAt: number; reason: string }

export interface Who { who: string; scopes: string[]; remote_control_off: boolean }

export interface Alert {
    id: number; state: "firing" | "resolved"; rule: string; process: string; name: string; type: string | null; series: string;
    condition: string; value: number | null; began_at: string; resolved_at: string | null; reason: string | null;
}

export interface StreamEvent {
    kind: string; type: string | null; bytes: number | null; object: number | null; at_mono_ns: number | null; after_mono_ns: number;
    heap?: number; missed_before?: number; lost_before?: number;
}

export interface Series { name: string; unit: string; help: string }

export interface Rule {
    name: string; enabled: boolean; selector?: { name?: string; label?: Record<string, string> };
    when: { series: string; type?: string; above?: number; below?: number; grows_by?: number | string; grows_steadily?: true; over?: string; for?: string };
    do: (string | object)[]; every?: string; limit_per_hour?: number; revision: number; created_at: string; changed_at: string;
}
