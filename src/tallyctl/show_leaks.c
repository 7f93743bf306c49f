/* Suspects, forecasts, baselines and artifacts, for people. */
#include "tallyctl/show.h"

#include <string.h>

#include "tallyctl/columns.h"
#include "tallyctl/text.h"

static void section(const struct paper *paper, const char *title)
{
    fprintf(paper->to, paper->colour ? "\033[1m%s\033[m\n" : "%s\n", title);
}

/* One of the four, and what is missing in it. */
static void part(const struct paper *paper, const json_t *json, const char *name, const char *title,
                 const struct column *columns, size_t count)
{
    char path[64];
    snprintf(path, sizeof path, "completeness.%s.detail", name);
    section(paper, title);
    if (!json_is_null(json_object_get(json, name)))
        columns_print(paper, columns, count, json_object_get(json, name), "none");
    if (*client_text(json, path))
        columns_say(paper, "(", client_text(json, path), ")\n");
}

void show_suspects(const struct paper *paper, const json_t *json)
{
    static const struct column growing[] = {{"TYPE", "type", COLUMN_TEXT, NULL},
                                            {">LIVE", "live_objects", COLUMN_NUMBER, NULL},
                                            {">BYTES AN HOUR", "slope_bytes_per_hour", COLUMN_SIGNED, NULL},
                                            {">CONFIDENCE", "confidence", COLUMN_SHARE, NULL},
                                            {"BECAUSE", "reason", COLUMN_TEXT, ""}};
    static const struct column reclaimed[] = {{"TYPE", "type", COLUMN_TEXT, NULL},
                                              {">BY COUNT", "by_refcount", COLUMN_NUMBER, NULL},
                                              {">BY CYCLE", "by_cycle", COLUMN_NUMBER, NULL},
                                              {">SHARE OF CYCLES", "share", COLUMN_SHARE, NULL},
                                              {"SHAPE", "cycle.shape", COLUMN_TEXT, ""},
                                              {"MAKE WEAK", "cycle.weaken.edge", COLUMN_TEXT, ""}};
    static const struct column always[] = {{"TYPE", "type", COLUMN_TEXT, NULL},
                                           {">CANDIDATES", "candidates", COLUMN_NUMBER, NULL},
                                           {">SURVIVED", "survived", COLUMN_NUMBER, NULL},
                                           {"MAKE IT", "advice.do", COLUMN_TEXT, ""},
                                           {"BECAUSE", "advice.reason", COLUMN_TEXT, ""}};
    static const struct column external[] = {{"TYPE", "type", COLUMN_TEXT, NULL},
                                             {">OBJECTS", "objects", COLUMN_NUMBER, NULL},
                                             {">HELD FROM OUTSIDE", "roots", COLUMN_NUMBER, NULL},
                                             {">REFERENCES", "references", COLUMN_NUMBER, NULL},
                                             {">RETAINED", "retained_bytes", COLUMN_BYTES, NULL},
                                             {"ARTIFACT", "artifact", COLUMN_TEXT, NULL}};
    part(paper, json, "growing", "Types that keep growing", growing, sizeof growing / sizeof *growing);
    part(paper, json, "reclaimed", "\nWho reclaims what", reclaimed, sizeof reclaimed / sizeof *reclaimed);
    part(paper, json, "always_alive", "\nCandidates that are always alive", always, sizeof always / sizeof *always);
    part(paper, json, "external", "\nReferences that nothing explains", external, sizeof external / sizeof *external);
}

void show_forecast(const struct paper *paper, const json_t *json)
{
    static const struct column columns[] = {{">GENERATION", "generation", COLUMN_NUMBER, NULL},
                                            {">OBJECTS", "objects", COLUMN_NUMBER, NULL},
                                            {">PAUSE", "pause_ns", COLUMN_NS, "not known yet"},
                                            {">LEAST", "least_pause_ns", COLUMN_NS, NULL},
                                            {">MOST", "most_pause_ns", COLUMN_NS, NULL},
                                            {">BY RUNS", "runs", COLUMN_NUMBER, NULL},
                                            {"SLICED", "sliced", COLUMN_YES, NULL},
                                            {"OVER MAX PAUSE", "over_max_pause", COLUMN_YES, NULL},
                                            {"BECAUSE", "reason", COLUMN_TEXT, ""}};
    char pause[TEXT_FIGURE_MAX], took[TEXT_FIGURE_MAX], bytes[TEXT_FIGURE_MAX];
    const json_t *snapshot = json_object_get(json, "snapshot");
    COLUMNS_PRINT(paper, columns, json_object_get(json, "collect"), "no collection can be foreseen");
    if (!json_is_object(snapshot))
        return;
    columns_say(paper, "\na snapshot (", client_text(snapshot, "mode"), ")");
    if (json_is_integer(json_object_get(snapshot, "pause_ns")))
        fprintf(paper->to, " would pause it for %s", text_duration(pause, client_number(snapshot, "pause_ns")));
    if (json_is_integer(json_object_get(snapshot, "duration_ns")))
        fprintf(paper->to, ", take %s", text_duration(took, client_number(snapshot, "duration_ns")));
    fprintf(paper->to, " and hold %llu objects, in about %s\n", (unsigned long long)client_number(snapshot, "objects"),
            text_bytes(bytes, client_number(snapshot, "bytes")));
    if (json_is_false(json_object_get(snapshot, "allowed")))
        columns_say(paper, "it would be refused: ", client_text(snapshot, "reason"), "\n");
}

void show_baselines(const struct paper *paper, const json_t *json)
{
    static const struct column columns[] = {{"BASELINE", "id", COLUMN_TEXT, NULL},
                                            {"NAME", "name", COLUMN_TEXT, NULL},
                                            {">PID", "pid", COLUMN_NUMBER, NULL},
                                            {"TAKEN", "taken_at", COLUMN_TEXT, NULL},
                                            {">OBJECTS", "live_objects", COLUMN_NUMBER, NULL},
                                            {">BYTES", "live_bytes", COLUMN_BYTES, NULL}};
    COLUMNS_PRINT(paper, columns, json_object_get(json, "baselines"), "no baselines: tallyctl baseline keeps one");
}

void show_compared(const struct paper *paper, const json_t *json)
{
    static const struct column columns[] = {{"TYPE", "type", COLUMN_TEXT, NULL},
                                            {"STATE", "state", COLUMN_STATE, NULL},
                                            {">OBJECTS A", "a.objects", COLUMN_NUMBER, NULL},
                                            {">OBJECTS B", "b.objects", COLUMN_NUMBER, NULL},
                                            {">OBJECTS MORE", "delta_objects", COLUMN_SIGNED, NULL},
                                            {">BYTES A", "a.bytes", COLUMN_BYTES, NULL},
                                            {">BYTES B", "b.bytes", COLUMN_BYTES, NULL},
                                            {">BYTES MORE", "delta_bytes", COLUMN_SIGNED, NULL}};
    COLUMNS_PRINT(paper, columns, json_object_get(json, "types"), "no types");
}

/* ---- artifacts */

static const struct column artifact_columns[] = {
    {"ARTIFACT", "id", COLUMN_TEXT, NULL},         {"NAME", "name", COLUMN_TEXT, NULL},
    {">HEAP", "heap", COLUMN_NUMBER, NULL},        {"TAKEN", "taken_at", COLUMN_TEXT, NULL},
    {"STATE", "state", COLUMN_STATE, NULL},        {">OBJECTS", "objects", COLUMN_NUMBER, NULL},
    {">REFERENCES", "edges", COLUMN_NUMBER, NULL}, {">BYTES", "bytes", COLUMN_BYTES, NULL},
    {">PAUSE", "pause_ns", COLUMN_NS, NULL},       {"MODE", "mode", COLUMN_TEXT, NULL},
    {">FILE", "size_bytes", COLUMN_BYTES, NULL}};

void show_artifacts(const struct paper *paper, const json_t *json)
{
    COLUMNS_PRINT(paper, artifact_columns, json_object_get(json, "artifacts"), "no artifacts: tallyctl snapshot makes one");
}

void show_artifact(const struct paper *paper, const json_t *json)
{
    char eta[TEXT_FIGURE_MAX];
    json_t *one = json_pack("[O]", json);
    COLUMNS_PRINT(paper, artifact_columns, one, "");
    json_decref(one);
    if (json_is_false(json_object_get(json, "instant")))
        fputs("It is not of one instant: it was taken in slices.\n", paper->to);
    if (json_is_integer(json_object_get(json, "eta_ms")))
        fprintf(paper->to, "It will be ready in about %s.\n", text_duration(eta, client_number(json, "eta_ms") * 1000000));
    const json_t *summary = json_object_get(json, "summary");
    if (json_is_object(summary))
        fprintf(paper->to,
                "%llu types; %llu objects are held from outside of the heap, by %llu references that nothing explains; "
                "%llu objects wait for a collection\n",
                (unsigned long long)client_number(summary, "types"), (unsigned long long)client_number(summary, "roots"),
                (unsigned long long)client_number(summary, "external_references"),
                (unsigned long long)client_number(summary, "garbage_objects"));
    if (*client_text(json, "problem"))
        columns_say(paper, "Problem: ", client_text(json, "problem"), "\n");
}

void show_artifact_types(const struct paper *paper, const json_t *json)
{
    static const struct column columns[] = {
        {"TYPE", "type", COLUMN_TEXT, NULL},      {">OBJECTS", "objects", COLUMN_NUMBER, NULL},
        {">BYTES", "bytes", COLUMN_BYTES, NULL},  {">RETAINED", "retained_bytes", COLUMN_BYTES, NULL},
        {">ROOTS", "roots", COLUMN_NUMBER, NULL}, {">EXTERNAL", "external", COLUMN_NUMBER, NULL}};
    COLUMNS_PRINT(paper, columns, json_object_get(json, "types"), "no types");
}

static const struct column object_columns[] = {{">OBJECT", "object", COLUMN_NUMBER, NULL},
                                               {"TYPE", "type", COLUMN_TEXT, "?"},
                                               {">BYTES", "bytes", COLUMN_BYTES, NULL},
                                               {">RETAINED", "retained_bytes", COLUMN_BYTES, NULL},
                                               {">REFERENCES", "references", COLUMN_NUMBER, NULL},
                                               {">UNEXPLAINED", "external", COLUMN_NUMBER, NULL},
                                               {"ROOT", "root", COLUMN_TEXT, "-"},
                                               {"LABEL", "label", COLUMN_TEXT, ""}};

void show_artifact_objects(const struct paper *paper, const json_t *json)
{
    const json_t *list = json_object_get(json, "objects");
    COLUMNS_PRINT(paper, object_columns, list ? list : json_object_get(json, "dominators"), "no objects");
}

void show_artifact_object(const struct paper *paper, const json_t *json)
{
    json_t *one = json_pack("[O]", json);
    COLUMNS_PRINT(paper, object_columns, one, "");
    json_decref(one);
    if (json_is_true(json_object_get(json, "garbage")))
        fputs("It cannot be reached: it waits for a collection.\n", paper->to);
    if (json_is_integer(json_object_get(json, "distance")))
        fprintf(paper->to, "It is %llu references away from what is held from outside.\n",
                (unsigned long long)client_number(json, "distance"));
    if (json_is_integer(json_object_get(json, "dominator")))
        fprintf(paper->to, "It goes when object %llu goes.\n", (unsigned long long)client_number(json, "dominator"));
}

void show_artifact_links(const struct paper *paper, const json_t *json)
{
    static const struct column columns[] = {{"FIELD", "field", COLUMN_TEXT, "-"},
                                            {">INDEX", "index", COLUMN_NUMBER, NULL},
                                            {"KIND", "kind", COLUMN_TEXT, NULL},
                                            {">OBJECT", "object", COLUMN_NUMBER, NULL},
                                            {"TYPE", "type", COLUMN_TEXT, "not in the snapshot"},
                                            {">RETAINED", "retained_bytes", COLUMN_BYTES, NULL},
                                            {">TIMES", "times", COLUMN_NUMBER, "1"},
                                            {"LABEL", "label", COLUMN_TEXT, ""}};
    const json_t *edges = json_object_get(json, "edges");
    COLUMNS_PRINT(paper, columns, edges ? edges : json_object_get(json, "referrers"), "nothing");
}

/* Whether a step repeats the one before it: a long list is a hundred times the same. */
static bool step_repeats(const json_t *step, const json_t *before)
{
    return before && *client_text(step, "field") && !*client_text(step, "label") && !*client_text(before, "label") &&
           !strcmp(client_text(step, "field"), client_text(before, "field")) &&
           !strcmp(client_text(step, "type"), client_text(before, "type"));
}

static void show_step(const struct paper *paper, const json_t *step, unsigned depth)
{
    fprintf(paper->to, "%*s%s", (int)(2 * (depth < 20 ? depth : 20)), "", depth ? "-> " : "");
    if (*client_text(step, "field"))
        columns_say(paper, ".", client_text(step, "field"), " ");
    columns_say(paper, "", client_text(step, "type"), "");
    fprintf(paper->to, " #%llu", (unsigned long long)client_number(step, "object"));
    columns_say(paper, *client_text(step, "label") ? " " : "", client_text(step, "label"), "\n");
}

/* From the root on, an arrow a step, named by the field that holds it; of those that repeat the first and the last. */
void show_path(const struct paper *paper, const json_t *json)
{
    const json_t *path = json_object_get(json, "path"), *before = NULL;
    unsigned depth = 0, skipped = 0;
    size_t count = json_array_size(path);
    if (count == 0)
        fputs("No root leads to it: something outside of the heap holds it, or it is garbage.\n", paper->to);
    for (size_t i = 0; i < count; i++) {
        const json_t *step = json_array_get(path, i);
        bool skip = step_repeats(step, before) && i + 1 < count && step_repeats(json_array_get(path, i + 1), step);
        before = step;
        skipped += skip;
        if (skip)
            continue;
        if (skipped)
            fprintf(paper->to, "%*s-> ... %u more of these\n", (int)(2 * (depth < 20 ? depth : 20)), "", skipped);
        depth += skipped > 0;
        skipped = 0;
        show_step(paper, step, depth++);
    }
}
