/* A request goes aside: its connection is suspended, a worker runs its handler, what that answers waits in the request,
 * and the listener's thread sends it after the resumption. libmicrohttpd leaves a suspended connection alone, so that
 * the worker may read its header; it tells nothing of a client that hangs up meanwhile. */
#include <poll.h>

#include "api/private.h"
#include "base/pulse.h"

_Static_assert(WORKERS == PULSE_WORKER_2 - PULSE_WORKER_1 + 1, "each has a heartbeat");

/* Who has only shut down its own sending, after its last request, still waits for the answer: on TCP, where a close
 * looks like that until we send something, it is taken for one who waits. */
bool request_unwanted(const struct request *request)
{
    struct pollfd client = {.fd = request->connection->fd};
    return request->api->draining || (poll(&client, 1, 0) > 0 && client.revents & (POLLHUP | POLLERR));
}

enum MHD_Result worker_take(struct request *request)
{
    struct api *api = request->api;
    phase_set(request->connection, PHASE_WAITING);
    pthread_mutex_lock(&api->jobs_lock);
    bool room = api->job_count < JOBS_MAX && !api->jobs_end;
    if (room) {
        request->next_job = NULL;
        *api->jobs_tail = request;
        api->jobs_tail = &request->next_job;
        api->job_count++;
        request_suspend(request);
        pthread_cond_signal(&api->jobs_come);
    }
    pthread_mutex_unlock(&api->jobs_lock);
    return room ? MHD_YES : respond_problem(request, api->draining ? PROBLEM_draining : PROBLEM_busy, NULL);
}

/* The oldest that waits; NULL: there is none and none will come. */
static struct request *job_next(struct api *api)
{
    pthread_mutex_lock(&api->jobs_lock);
    while (!api->jobs && !api->jobs_end)
        pthread_cond_wait(&api->jobs_come, &api->jobs_lock);
    struct request *request = api->jobs;
    if (request) {
        api->jobs = request->next_job;
        if (!api->jobs)
            api->jobs_tail = &api->jobs;
        api->job_count--;
    }
    pthread_mutex_unlock(&api->jobs_lock);
    return request;
}

static void *work(void *arg)
{
    const struct worker *worker = arg;
    struct api *api = worker->api;
    enum pulse pulse = PULSE_WORKER_1 + (unsigned)(worker - api->workers);
    struct request *request;
    while ((request = job_next(api))) {
        pulse_beat(pulse);
        request->aside = true;
        if (api->draining)
            respond_problem(request, PROBLEM_draining, NULL);
        else if (!request_unwanted(request))
            request->route->handler(request);
        request->aside = false;
        request->made = true;
        MHD_resume_connection(request->mhd);
        pulse_end(pulse);
    }
    return NULL;
}

int workers_start(struct api *api)
{
    api->jobs_tail = &api->jobs;
    for (; api->worker_count < WORKERS; api->worker_count++) {
        struct worker *worker = &api->workers[api->worker_count];
        worker->api = api;
        int error = pthread_create(&worker->thread, NULL, work, worker);
        if (error)
            return -error;
    }
    return 0;
}

void workers_stop(struct api *api)
{
    pthread_mutex_lock(&api->jobs_lock);
    api->jobs_end = true;
    pthread_cond_broadcast(&api->jobs_come);
    pthread_mutex_unlock(&api->jobs_lock);
    while (api->worker_count)
        pthread_join(api->workers[--api->worker_count].thread, NULL);
}
