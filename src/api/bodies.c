/* Bodies that are kept: built once for a state of what they show, and sent to everybody who asks for it meanwhile. The
 * table is one of places by the key's hash, four to a hash; what does not fit, or is over the bound of bytes, pushes out
 * what was unused longest. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "api/private.h"
#include "base/clock.h"

#define SETS 128u
#define WAYS 4u

struct body {
    atomic_uint references; /* the table's, and those of answers that a worker has made */
    char key[BODY_KEY_BYTES];
    uint64_t hash, seq, built_ns;
    uint64_t used_ns; /* under the lock */
    size_t bytes;
    struct MHD_Response *response;   /* NULL: whoever asked knew it already */
    struct MHD_Response *unmodified; /* the 304 in its stead */
};

struct bodies {
    pthread_mutex_t lock;
    size_t bytes;
    struct body *sets[SETS][WAYS];
};

struct bodies *bodies_new(void)
{
    struct bodies *bodies = calloc(1, sizeof *bodies);
    if (bodies)
        pthread_mutex_init(&bodies->lock, NULL);
    return bodies;
}

void body_unref(struct body *body)
{
    if (!body || atomic_fetch_sub(&body->references, 1) != 1)
        return;
    if (body->response)
        MHD_destroy_response(body->response);
    if (body->unmodified)
        MHD_destroy_response(body->unmodified);
    free(body);
}

struct MHD_Response *body_response(const struct body *body, unsigned status)
{
    return status == MHD_HTTP_NOT_MODIFIED ? body->unmodified : body->response;
}

void bodies_free(struct bodies *bodies)
{
    if (!bodies)
        return;
    for (size_t i = 0; i < SETS * WAYS; i++)
        body_unref(bodies->sets[i / WAYS][i % WAYS]);
    pthread_mutex_destroy(&bodies->lock);
    free(bodies);
}

/* A reference on the body for key and seq, where it is fresh; for its 304 it need not be there itself. */
static struct body *body_find(struct bodies *bodies, const char *key, uint64_t hash, uint64_t seq, bool unmodified)
{
    uint64_t now = clock_mono_coarse_ns();
    struct body *found = NULL;
    pthread_mutex_lock(&bodies->lock);
    for (size_t i = 0; i < WAYS && !found; i++) {
        struct body *body = bodies->sets[hash % SETS][i];
        if (body && body->hash == hash && !strcmp(body->key, key) && body->seq == seq &&
            (unmodified || (body->response && (!seq || now - body->built_ns < BODY_FRESH_NS))))
            found = body;
    }
    if (found) {
        found->used_ns = now;
        atomic_fetch_add_explicit(&found->references, 1, memory_order_relaxed);
    }
    pthread_mutex_unlock(&bodies->lock);
    return found;
}

/* The place of the same key, else an empty one, else that of the one unused longest. Under the lock. */
static struct body **place_of(struct bodies *bodies, const struct body *body)
{
    struct body **set = bodies->sets[body->hash % SETS], **best = &set[0];
    for (size_t i = 0; i < WAYS; i++)
        if (set[i] && !strcmp(set[i]->key, body->key))
            return &set[i];
    for (size_t i = 1; i < WAYS && *best; i++)
        if (!set[i] || set[i]->used_ns < (*best)->used_ns)
            best = &set[i];
    return best;
}

/* Takes out what was unused longest; NULL: there is nothing but `keep`. Under the lock. */
static struct body *oldest_take(struct bodies *bodies, const struct body *keep)
{
    struct body **oldest = NULL;
    for (size_t i = 0; i < SETS * WAYS; i++) {
        struct body **place = &bodies->sets[i / WAYS][i % WAYS];
        if (*place && *place != keep && (!oldest || (*place)->used_ns < (*oldest)->used_ns))
            oldest = place;
    }
    struct body *body = oldest ? *oldest : NULL;
    if (oldest)
        *oldest = NULL;
    return body;
}

static void body_keep(struct bodies *bodies, struct body *body)
{
    atomic_fetch_add(&body->references, 1);
    pthread_mutex_lock(&bodies->lock);
    struct body **place = place_of(bodies, body), *old = *place;
    *place = body;
    bodies->bytes += body->bytes - (old ? old->bytes : 0);
    while (bodies->bytes > BODIES_MAX_BYTES) {
        struct body *out = oldest_take(bodies, body);
        if (!out)
            break;
        bodies->bytes -= out->bytes;
        body_unref(out);
    }
    pthread_mutex_unlock(&bodies->lock);
    body_unref(old);
}

/* The caller's reference, or NULL: out of memory. make: NULL: the 304 alone. */
static struct body *body_build(struct request *request, struct form form, const char *etag, body_fn make, const void *arg)
{
    struct body *body = calloc(1, sizeof *body);
    if (!body)
        return NULL;
    body->references = 1;
    body->unmodified = unmodified_new(etag);
    if (make)
        body->response = represent(request, make(request, arg), form, "application/json", etag, &body->bytes);
    body->bytes += sizeof *body;
    body->built_ns = body->used_ns = clock_mono_coarse_ns();
    if (body->unmodified && (body->response || !make))
        return body;
    body_unref(body);
    return NULL;
}

/* Takes the reference over. */
static enum MHD_Result body_queue(struct request *request, struct body *body, unsigned status)
{
    answer_drop(&request->answer);
    request->answer = (struct answer){.body = body, .status = status};
    return request->aside ? MHD_YES : respond_answer(request);
}

/* The key with what the form adds to it; its length, or 0: it is too long. */
static size_t key_whole(const char *key, struct form form, char *whole)
{
    size_t length = key ? strlen(key) : BODY_KEY_BYTES;
    if (length + 2 > BODY_KEY_BYTES)
        return 0;
    memcpy(whole, key, length);
    whole[length] = (char)('0' + form.lines + 2 * form.gzip + 4 * form.bigint);
    whole[length + 1] = '\0';
    return length + 1;
}

enum MHD_Result respond_body(struct request *request, const char *key, uint64_t seq, uint64_t since, body_fn make, const void *arg)
{
    struct bodies *bodies = request->api->bodies;
    struct form form = form_of(request);
    char etag[ETAG_BYTES], whole[BODY_KEY_BYTES];
    size_t length = key_whole(key, form, whole);
    uint64_t hash = length ? crc32_z(0, (const unsigned char *)whole, length) : 0;
    const char *known = request->headers[HEADER_KNOWN];
    if (known)
        etag_write(etag, request->api->start_id, seq, since, form.lines);
    bool same = known && etag_listed(known, etag);
    unsigned status = same ? MHD_HTTP_NOT_MODIFIED : MHD_HTTP_OK;
    struct body *body = length ? body_find(bodies, whole, hash, seq, same) : NULL;
    if (body)
        return body_queue(request, body, status);
    if (!same && request->route->place == KEPT && !request->aside)
        return worker_take(request);
    etag_write(etag, request->api->start_id, seq, since, form.lines);
    body = body_build(request, form, etag, same ? NULL : make, arg);
    if (!body)
        return respond_problem(request, PROBLEM_internal, "out of memory");
    body->seq = seq;
    body->hash = hash;
    if (length) {
        memcpy(body->key, whole, length + 1);
        body_keep(bodies, body);
    }
    return body_queue(request, body, status);
}
