/* Handle scopes: one stack of owned references a heap; a scope is where it stood. */
#include <stdlib.h>

#include "heap/internal.h"

struct tally_scope tally_scope_open(struct tally_heap *heap)
{
    heap->handles.open++;
    return (struct tally_scope){.heap = heap, .base = heap->handles.count};
}

void *tally_keep(struct tally_heap *heap, void *object)
{
    struct handles *handles = &heap->handles;
    if (!object)
        return NULL;
    if (!handles->open) {
        tally_decref(object);
        return NULL;
    }
    if (handles->count == handles->room) {
        size_t room = handles->room ? 2 * handles->room : 64;
        void **objects = realloc(handles->objects, room * sizeof *objects);
        if (!objects) {
            tally_decref(object);
            return NULL;
        }
        handles->objects = objects;
        handles->room = room;
    }
    handles->objects[handles->count++] = object;
    return object;
}

/* A finalizer that opens scopes of its own while this one closes finds the stack whole. */
void tally_scope_close(struct tally_scope *scope)
{
    struct handles *handles = &scope->heap->handles;
    if (!handles->open || handles->count < scope->base) {
        tally__report(scope->heap, TALLY_REPORT_SCOPE, NULL,
                      "a handle scope is closed twice or out of order");
        return;
    }
    while (handles->count > scope->base)
        tally_decref(handles->objects[--handles->count]);
    handles->open--;
}

size_t tally_scopes_open(const struct tally_heap *heap, size_t *references)
{
    if (references)
        *references = heap->handles.count;
    return heap->handles.open;
}
