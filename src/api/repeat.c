/* Idempotency-Key: what was asked for once with a key is not done again with it, for REPEAT_NS. A key belongs to who
 * sent it. The operation that it began is answered again, as it is by then; where it began none, the same answer. What
 * failed may be tried again. REPEATS_MAX keys are known; of more, the oldest is forgotten. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/private.h"
#include "base/clock.h"

#define REPEAT_NS 600000000000u
#define REPEATS_MAX OPERATIONS_KEPT /* who outlives his operation has no answer */
#define KEY_BYTES 128u

struct repeat {
    struct repeat *next; /* older */
    char who[sizeof((struct request *)0)->who], key[KEY_BYTES + 1];
    uint64_t asked;   /* hash of path and body */
    uint64_t until_ns;
    const struct request *first; /* that has begun and is not answered */
    char operation[OPERATION_ID_CHARS]; /* "": none */
    struct MHD_Response *response;      /* then */
    unsigned status;
};

struct repeats {
    pthread_mutex_t lock; /* all below */
    struct repeat *newest;
    unsigned count;
};

struct repeats *repeats_new(void)
{
    struct repeats *repeats = calloc(1, sizeof *repeats);
    if (repeats)
        pthread_mutex_init(&repeats->lock, NULL);
    return repeats;
}

/* Under the lock. */
static void unlink_and_free(struct repeats *repeats, struct repeat **link)
{
    struct repeat *repeat = *link;
    *link = repeat->next;
    repeats->count--;
    if (repeat->response)
        MHD_destroy_response(repeat->response);
    free(repeat);
}

void repeats_free(struct repeats *repeats)
{
    if (!repeats)
        return;
    while (repeats->newest)
        unlink_and_free(repeats, &repeats->newest);
    pthread_mutex_destroy(&repeats->lock);
    free(repeats);
}

/* What is over, and the oldest beyond the bound. Under the lock. */
static void forget(struct repeats *repeats, uint64_t now)
{
    unsigned kept = 0;
    for (struct repeat **link = &repeats->newest; *link;)
        if (now > (*link)->until_ns || ++kept >= REPEATS_MAX)
            unlink_and_free(repeats, link);
        else
            link = &(*link)->next;
}

static uint64_t hash_add(uint64_t hash, const char *text, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        hash = (hash ^ (unsigned char)text[i]) * 0x100000001b3u;
    return hash * 0x100000001b3u;
}

static uint64_t asked_hash(const struct request *request)
{
    uint64_t hash = hash_add(0xcbf29ce484222325u, request->target, strcspn(request->target, "?"));
    return hash_add(hash, request->body, request->body_bytes);
}

static bool key_good(const char *key)
{
    size_t length = strlen(key);
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)key[i] <= ' ' || (unsigned char)key[i] >= 0x7f)
            return false;
    return length > 0 && length <= KEY_BYTES;
}

static struct repeat *repeat_find(struct repeats *repeats, const struct request *request, const char *key)
{
    for (struct repeat *repeat = repeats->newest; repeat; repeat = repeat->next)
        if (!strcmp(repeat->key, key) && !strcmp(repeat->who, request->who))
            return repeat;
    return NULL;
}

static void repeat_add(struct repeats *repeats, struct request *request, const char *key, uint64_t now)
{
    struct repeat *repeat = calloc(1, sizeof *repeat);
    if (!repeat)
        return; /* then the key is good for nothing */
    memcpy(repeat->who, request->who, sizeof repeat->who);
    snprintf(repeat->key, sizeof repeat->key, "%s", key);
    repeat->asked = asked_hash(request);
    repeat->until_ns = now + REPEAT_NS;
    repeat->first = request;
    repeat->next = repeats->newest;
    repeats->newest = repeat;
    repeats->count++;
    request->keyed = true;
}

bool repeat_check(struct request *request, enum MHD_Result *answered)
{
    struct repeats *repeats = request->api->repeats;
    const char *key = MHD_lookup_connection_value(request->mhd, MHD_HEADER_KIND, "Idempotency-Key");
    enum problem problem = PROBLEM_NONE;
    uint64_t now = clock_mono_ns();
    if (!key || !request->scopes) /* who has shown nothing owns no keys */
        return false;
    if (!key_good(key)) {
        *answered = respond_problem(request, PROBLEM_bad_request, "Idempotency-Key must be 1 to 128 visible characters");
        return true;
    }
    pthread_mutex_lock(&repeats->lock);
    forget(repeats, now);
    struct repeat *repeat = repeat_find(repeats, request, key);
    bool queued = repeat && repeat->asked == asked_hash(request) && repeat->response;
    if (!repeat)
        repeat_add(repeats, request, key, now);
    else if (repeat->asked != asked_hash(request))
        problem = PROBLEM_key_reused;
    else if (queued)
        *answered = MHD_queue_response(request->mhd, repeat->status, repeat->response);
    else if (*repeat->operation)
        memcpy(request->operation, repeat->operation, sizeof request->operation);
    else
        problem = PROBLEM_key_in_use;
    pthread_mutex_unlock(&repeats->lock);
    if (problem != PROBLEM_NONE)
        *answered = respond_problem(request, problem, NULL);
    else if (repeat && !queued)
        *answered = controls_again(request);
    return repeat;
}

bool repeat_note(struct request *request, unsigned status, struct MHD_Response *response)
{
    struct repeats *repeats = request->api->repeats;
    bool taken = false;
    if (!request->keyed)
        return false;
    pthread_mutex_lock(&repeats->lock);
    for (struct repeat **link = &repeats->newest; *link; link = &(*link)->next) {
        struct repeat *repeat = *link;
        if (repeat->first != request)
            continue;
        if (*request->operation) {
            memcpy(repeat->operation, request->operation, sizeof repeat->operation);
        } else if (!response || status >= 300) {
            unlink_and_free(repeats, link);
            break;
        } else {
            repeat->response = response;
            repeat->status = status;
            taken = true;
        }
        repeat->first = NULL;
        break;
    }
    pthread_mutex_unlock(&repeats->lock);
    request->keyed = false;
    return taken;
}
