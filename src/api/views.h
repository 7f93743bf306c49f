/* What the API shows, as JSON: new references, NULL: out of memory; what adds to an object does nothing then. A handler
 * holds a view, which never changes, and sends what these make of it. */
#ifndef TALLY_API_VIEWS_H
#define TALLY_API_VIEWS_H

#include <jansson.h>

#include "api/api.h"

/* ---- views.c */
json_t *view_process(const struct stats_process_view *process, uint64_t now_mono_ns);
json_t *view_stats(const struct api *api, const struct stats_process_view *process, uint32_t heap);
json_t *view_type(const struct stats_type_view *type);
json_t *view_collection(struct api *api, const struct stats_collection_view *from);
/* since: NULL, or an earlier view, whose collections are left out. */
json_t *view_collections(struct api *api, const struct stats_process_view *process, size_t limit,
                         const struct stats_process_view *since);
const char *view_reason(uint32_t reason);
const char *view_scope(uint32_t scope);
/* Adds id, pid, name, state and complete. */
void view_identity(json_t *json, const struct stats_process_view *process);
json_t *view_config(const struct stats_process_view *process, uint32_t heap);
/* operations.c. whole: with what was listed, and with the processes of a batch. */
json_t *view_operation(struct api *api, const struct operation_view *operation, bool whole);
/* What a change of configuration has put into force. */
json_t *view_changed(const struct wire_command *command);
/* Adds how many more or less of a type there are than in a baseline: in the whole process, or in heap n. */
void view_since(json_t *json, const struct stats_type_view *type, const struct stats_process_view *baseline, uint32_t n);
json_t *view_time(uint64_t wall_ns);
json_t *scopes_view(unsigned scopes); /* tokens.c */
json_t *view_number(uint64_t value); /* at most 2^63 - 1 */
json_t *view_state(uint32_t state);
/* The words of all managers. */
json_t *view_managers(void);
/* Adds as_of, as_of_mono_ns and seq. */
void view_stamp(json_t *json, uint64_t wall_ns, uint64_t mono_ns, uint64_t seq);
const struct stats_heap_view *view_heap_find(const struct stats_process_view *process, uint32_t n);

/* details.c: what events tell. new: of the types of a heap (0: of all heaps), for free(3); NULL: out of memory.
 * type_set: rates and lifetimes of one of these types. kind: the bit of a word that filters events, 0: it is none.
 * type_name: borrowed, or NULL. post_mortem: null of a live process. */
struct details;
struct details *details_new(const struct stats_process_view *process, uint32_t heap);
void details_type_set(json_t *json, const struct details *details, const struct stats_type_view *type, bool histograms);
struct stats_rates details_rates(const struct stats_process_view *process, uint32_t heap);
json_t *details_rates_json(const struct stats_process_view *process, uint32_t heap);
unsigned details_kind(const char *word, size_t bytes);
json_t *details_event(const struct stats_event *event);
const char *details_type_name(const struct stats_heap_view *heap, uint32_t row);
json_t *details_post_mortem(struct api *api, const struct stats_process_view *process);
json_t *details_exit(int status); /* waitpid(2)'s */

/* baselines.c. id: "<start>-b<number>". find: false: it is none of ours; else the process is a reference. */
#define BASELINE_ID_CHARS 40u
void baseline_id(const struct api *api, uint64_t number, char id[BASELINE_ID_CHARS]);
bool baseline_find(const struct api *api, const char *id, struct stats_baseline *out);

/* weaken.c: of a shape's text, which is valid. json: {edge, reason}, or null: nothing speaks for one. mentions: whether a
 * type of this name is part of it. */
json_t *weaken_json(const struct stats_heap_view *heap, const char *shape, size_t bytes);
bool weaken_mentions(const char *shape, size_t bytes, const char *type);

/* forecast.c, snapshot.c: of one heap, or of all (0). */
json_t *forecast_json(struct api *api, const struct stats_process_view *process, uint32_t heap);
json_t *forecast_snapshot(struct api *api, const struct stats_process_view *process, uint32_t heap);
/* snapshot.c. What came of one, and of a heap's. */
json_t *snapshot_result(const struct operation_view *operation);
void snapshot_heap_set(json_t *json, const struct operation_heap *heap);

#endif
