/* Tickets: an address from which a browser downloads an artifact by itself, to its disk and with its own progress. With a
 * token it cannot: that goes in a header, so the page would have to hold all of the file. A ticket is made like a login
 * code: 256 bits of randomness, good once and for a minute. It is for one artifact in one format, and falls with the token
 * that it was made with. (A cookie would go with every request, and so would have to be defended in every one.) */
#include <stdio.h>
#include <string.h>

#include "api/artifacts.h"
#include "base/clock.h"

#define TICKET_S 60

/* Of TICKETS_MAX the one that ends first makes room. Under the lock. */
static void ticket_keep(struct api *api, const struct ticket *ticket)
{
    struct ticket *oldest = &api->tickets[0];
    for (size_t i = 1; i < TICKETS_MAX; i++)
        if (api->tickets[i].expires_ns < oldest->expires_ns)
            oldest = &api->tickets[i];
    *oldest = *ticket;
}

/* What may be used now. look: it stays so. false: there is none. */
static bool ticket_take(struct api *api, const char *secret, bool look, struct ticket *taken)
{
    bool found = false;
    pthread_mutex_lock(&api->lock);
    for (size_t i = 0; i < TICKETS_MAX && !found; i++) {
        struct ticket *ticket = &api->tickets[i];
        if (ticket->expires_ns <= clock_mono_ns() || !secret_same(ticket->secret, secret))
            continue;
        *taken = *ticket;
        found = true;
        if (!look)
            ticket->expires_ns = 0;
    }
    pthread_mutex_unlock(&api->lock);
    return found && (!taken->credential || credentials_stand(api->credentials, taken->credential));
}

enum MHD_Result api_ticket(struct request *request)
{
    struct api *api = request->api;
    const char *format = json_string_value(json_object_get(request->json, "format"));
    struct ticket ticket = {.expires_ns = clock_mono_ns() + (uint64_t)TICKET_S * 1000000000u, .credential = request->credential};
    struct snapshot_artifact artifact;
    enum MHD_Result answered;
    char url[sizeof "/v1/downloads/" + SECRET_CHARS];
    if (!artifact_find(request, request_segment(request, "{a}"), &artifact, &answered))
        return answered;
    if (!secret_make(ticket.secret))
        return respond_problem(request, PROBLEM_internal, "no ticket could be made");
    snprintf(ticket.who, sizeof ticket.who, "%s", request->who);
    snprintf(ticket.artifact, sizeof ticket.artifact, "%s", artifact.id);
    snprintf(ticket.format, sizeof ticket.format, "%s", format);
    pthread_mutex_lock(&api->lock);
    ticket_keep(api, &ticket);
    pthread_mutex_unlock(&api->lock);
    snprintf(url, sizeof url, "/v1/downloads/%s", ticket.secret);
    return respond_json(request, MHD_HTTP_CREATED, json_pack("{s:s, s:i}", "url", url, "expires_in_s", TICKET_S), 0, NULL);
}

/* Who has no ticket is sent off here, before a worker has to do with it. */
enum MHD_Result api_ticket_use(struct request *request)
{
    struct api *api = request->api;
    struct ticket ticket;
    struct snapshot_artifact artifact;
    enum MHD_Result answered;
    if (!ticket_take(api, request_segment(request, "{ticket}"), request->head || !request->aside, &ticket)) {
        if (!request->connection->is_unix && credentials_bad(api->credentials))
            return respond_problem(request, PROBLEM_too_many_attempts, NULL);
        return respond_problem(request, PROBLEM_no_such_ticket, "the ticket is unknown, used or older than 60 s: ask for another one");
    }
    request->connection->trusted = true;
    if (!request->aside)
        return worker_take(request);
    request->credential = ticket.credential;
    snprintf(request->who, sizeof request->who, "%s", ticket.who);
    if (!artifact_find(request, ticket.artifact, &artifact, &answered))
        return answered;
    return artifact_download(request, &artifact, ticket.format);
}
