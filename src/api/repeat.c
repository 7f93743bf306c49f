/* Idempotency-Key: what was asked for once with a key is not done again with it, for REPEAT_NS. A key belongs to who
 * sent it. The operation that it began is answered again, as it is by then; what began none may be tried again.
 * REPEATS_MAX keys are known; of more, the oldest is forgotten. */
#include <nettle/sha2.h>
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
    uint8_t asked[SHA256_DIGEST_SIZE]; /* path and body */
    uint64_t until_ns;
    const struct request *first; /* that has begun and is not answered */
    char operation[OPERATION_ID_CHARS]; /* then */
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

static void asked_hash(const struct request *request, uint8_t digest[SHA256_DIGEST_SIZE])
{
    struct sha256_ctx context;
    sha256_init(&context);
    sha256_update(&context, strcspn(request->target, "?"), (const uint8_t *)request->target);
    sha256_update(&context, 1, (const uint8_t *)"?"); /* which no path holds */
    sha256_update(&context, request->body_bytes, (const uint8_t *)request->body);
    sha256_digest(&context, SHA256_DIGEST_SIZE, digest);
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

static void repeat_add(struct repeats *repeats, struct request *request, const char *key, const uint8_t *asked, uint64_t now)
{
    struct repeat *repeat = calloc(1, sizeof *repeat);
    if (!repeat)
        return; /* then the key is good for nothing */
    memcpy(repeat->who, request->who, sizeof repeat->who);
    snprintf(repeat->key, sizeof repeat->key, "%s", key);
    memcpy(repeat->asked, asked, sizeof repeat->asked);
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
    uint8_t asked[SHA256_DIGEST_SIZE];
    uint64_t now = clock_mono_ns();
    if (!key || !request->scopes) /* who has shown nothing owns no keys */
        return false;
    if (!key_good(key)) {
        *answered = respond_problem(request, PROBLEM_bad_request, "Idempotency-Key must be 1 to 128 visible characters");
        return true;
    }
    asked_hash(request, asked);
    pthread_mutex_lock(&repeats->lock);
    forget(repeats, now);
    struct repeat *repeat = repeat_find(repeats, request, key);
    if (!repeat)
        repeat_add(repeats, request, key, asked, now);
    else if (memcmp(repeat->asked, asked, sizeof asked))
        problem = PROBLEM_key_reused;
    else if (*repeat->operation)
        memcpy(request->operation, repeat->operation, sizeof request->operation);
    else
        problem = PROBLEM_key_in_use;
    pthread_mutex_unlock(&repeats->lock);
    if (problem != PROBLEM_NONE)
        *answered = respond_problem(request, problem, NULL);
    else if (repeat)
        *answered = controls_again(request);
    return repeat;
}

void repeat_note(struct request *request)
{
    struct repeats *repeats = request->api->repeats;
    if (!request->keyed)
        return;
    pthread_mutex_lock(&repeats->lock);
    struct repeat **link = &repeats->newest;
    while (*link && (*link)->first != request)
        link = &(*link)->next;
    if (*link && *request->operation) {
        memcpy((*link)->operation, request->operation, sizeof (*link)->operation);
        (*link)->first = NULL;
    } else if (*link) {
        unlink_and_free(repeats, link);
    }
    pthread_mutex_unlock(&repeats->lock);
    request->keyed = false;
}
