#include "tallyctl/client.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tallyctl/place.h"
#include "tallyctl/wake.h"

/* More than any answer of tallyd: what is longer is not from tallyd. */
#define BODY_MAX (256u << 20)
#define PATIENCE_MS 10000u
#define TOKEN_MAX 512

struct client {
    CURLM *multi;
    struct curl_slist *headers;
    bool verbose;
    unsigned patience_ms; /* for an answer that is not waited for */
    char place[PLACE_PATH_MAX];
    char socket_path[PLACE_PATH_MAX]; /* "": TCP */
    char base[PLACE_PATH_MAX];        /* of the URL */
};

struct client_call {
    CURL *curl;
    struct curl_slist *headers; /* its own; NULL: the client's */
    client_data_fn data;
    void *arg;
    bool over, unwanted;
    CURLcode code;
    struct client_reply reply;
};

/* ---- where tallyd is */

/* The first directory whose socket answers. One line tells of all that did not. */
static enum ctl_exit find_daemon(const struct ctl *ctl, struct client *client)
{
    struct places places;
    place_list(&places, ctl->runtime_dir);
    int errors[PLACE_MAX] = {0};
    for (size_t i = 0; i < places.count; i++) {
        memcpy(client->place, places.paths[i], sizeof client->place);
        errors[i] = place_join(client->socket_path, places.paths[i], "api.sock")
                        ? place_probe(client->socket_path)
                        : ENAMETOOLONG;
        if (errors[i] == 0)
            return CTL_DONE;
    }
    if (places.count == 2)
        return ctl_fail(CTL_NO_DAEMON, "no daemon at %s/api.sock: %s, nor at %s/api.sock: %s",
                        places.paths[0], strerror(errors[0]), places.paths[1], strerror(errors[1]));
    if (places.count == 1)
        return ctl_fail(CTL_NO_DAEMON, "no daemon at %s/api.sock: %s", places.paths[0], strerror(errors[0]));
    return ctl_fail(CTL_NO_DAEMON, "no daemon: the path of the runtime directory is too long");
}

/* The first line of the file. "" where it has none; false with errno: it cannot be read. */
static bool token_read(const char *path, char token[TOKEN_MAX])
{
    FILE *file = fopen(path, "re");
    *token = '\0';
    if (!file)
        return false;
    bool read = fgets(token, TOKEN_MAX, file) || !ferror(file);
    int error = errno;
    fclose(file);
    errno = error;
    token[strcspn(token, "\r\n")] = '\0';
    return read;
}

/* What --token or $TALLY_TOKEN holds. */
static enum ctl_exit token_find(const struct ctl *ctl, char token[TOKEN_MAX])
{
    const char *set = getenv("TALLY_TOKEN");
    if (ctl->token && !token_read(ctl->token, token))
        return ctl_fail(CTL_USAGE, "--token %s: %s", ctl->token, strerror(errno));
    if (!ctl->token)
        snprintf(token, TOKEN_MAX, "%s", set ? set : "");
    if (*token)
        return CTL_DONE;
    return ctl->token ? ctl_fail(CTL_USAGE, "--token %s: there is no token in it", ctl->token)
                      : ctl_fail(CTL_USAGE, "--host needs a token: --token FILE, or $TALLY_TOKEN");
}

static enum ctl_exit name_host(const struct ctl *ctl, struct client *client)
{
    char token[TOKEN_MAX] = "", header[TOKEN_MAX + 32];
    bool whole = strncmp(ctl->host, "http://", 7) == 0 || strncmp(ctl->host, "https://", 8) == 0;
    int length = snprintf(client->base, sizeof client->base, "%s%s", whole ? "" : "http://", ctl->host);
    if (ctl->runtime_dir)
        return ctl_fail(CTL_USAGE, "--host and --runtime-dir name two daemons: give one of them");
    if (length >= (int)sizeof client->base || strpbrk(ctl->host, " \t\r\n\"<>\\^`{|}?#@") ||
        (!whole && strchr(ctl->host, '/')))
        return ctl_fail(CTL_USAGE, "--host takes HOST:PORT or an address like https://tally.example.org, not '%s'",
                        ctl->host);
    client->base[strlen(client->base) - (client->base[strlen(client->base) - 1] == '/')] = '\0';
    snprintf(client->place, sizeof client->place, "%s", ctl->host);
    enum ctl_exit status = token_find(ctl, token);
    if (status != CTL_DONE)
        return status;
    snprintf(header, sizeof header, "Authorization: Bearer %s", token);
    client->headers = curl_slist_append(client->headers, header);
    return CTL_DONE;
}

enum ctl_exit client_open(const struct ctl *ctl, struct client **out)
{
    struct client *client = calloc(1, sizeof *client);
    if (!client)
        return ctl_fail(CTL_FAILED, "out of memory");
    client->verbose = ctl->verbose;
    client->patience_ms = PATIENCE_MS;
    snprintf(client->base, sizeof client->base, "http://localhost");
    client->multi = curl_multi_init();
    client->headers = curl_slist_append(NULL, "Content-Type: application/json");
    enum ctl_exit status = !client->multi || !client->headers ? ctl_fail(CTL_FAILED, "out of memory")
                           : ctl->host                        ? name_host(ctl, client)
                           : ctl->token ? ctl_fail(CTL_USAGE, "--token is for --host: over the socket nobody asks for one")
                                        : find_daemon(ctl, client);
    if (status == CTL_DONE)
        *out = client;
    else
        client_close(client);
    return status;
}

void client_close(struct client *client)
{
    if (!client)
        return;
    curl_slist_free_all(client->headers);
    curl_multi_cleanup(client->multi);
    free(client);
}

const char *client_place(const struct client *client)
{
    return client->place;
}

void client_be_brief(struct client *client, unsigned patience_ms)
{
    client->patience_ms = patience_ms;
}

const char *client_base(const struct client *client)
{
    return *client->socket_path ? NULL : client->base;
}

/* ---- a call, from its request to its answer */

static bool keep(struct client_reply *reply, const char *data, size_t bytes)
{
    if (bytes > BODY_MAX - reply->bytes)
        return false;
    char *body = realloc(reply->body, reply->bytes + bytes + 1);
    if (!body)
        return false;
    memcpy(body + reply->bytes, data, bytes);
    reply->body = body;
    reply->bytes += bytes;
    body[reply->bytes] = '\0';
    return true;
}

static size_t receive(char *data, size_t size, size_t count, void *arg)
{
    struct client_call *call = arg;
    size_t bytes = size * count;
    curl_easy_getinfo(call->curl, CURLINFO_RESPONSE_CODE, &call->reply.status);
    bool good = call->reply.status >= 200 && call->reply.status <= 299;
    if (!call->data || !good)
        return keep(&call->reply, data, bytes) ? bytes : 0;
    call->unwanted = !call->data(call->arg, data, bytes);
    return call->unwanted ? 0 : bytes;
}

static bool set_up(struct client *client, struct client_call *call, const struct client_request *request, const char *url)
{
    CURL *curl = call->curl;
    if (*client->socket_path)
        curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, client->socket_path);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request->method);
    curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, receive);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, call);
    curl_easy_setopt(curl, CURLOPT_PRIVATE, call);
    if (request->body)
        curl_easy_setopt(curl, CURLOPT_COPYPOSTFIELDS, request->body);
    else if (strcmp(request->method, "POST") == 0)
        curl_easy_setopt(curl, CURLOPT_COPYPOSTFIELDS, "");
    if (request->last_id && *request->last_id) {
        char header[256];
        snprintf(header, sizeof header, "Last-Event-ID: %s", request->last_id);
        for (const struct curl_slist *at = client->headers; at; at = at->next)
            call->headers = curl_slist_append(call->headers, at->data);
        call->headers = curl_slist_append(call->headers, header);
    }
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, call->headers ? call->headers : client->headers);
    curl_easy_setopt(curl, request->patience_ms ? CURLOPT_TIMEOUT_MS : CURLOPT_CONNECTTIMEOUT_MS,
                     (long)(request->patience_ms ? request->patience_ms : PATIENCE_MS));
    return curl_multi_add_handle(client->multi, curl) == CURLM_OK;
}

struct client_call *client_begin(struct client *client, const struct client_request *request)
{
    char url[2 * PLACE_PATH_MAX];
    struct client_call *call = calloc(1, sizeof *call);
    if (!call)
        return NULL;
    call->data = request->data;
    call->arg = request->arg;
    call->curl = curl_easy_init();
    if (client->verbose)
        fprintf(stderr, "tallyctl: %s %s\n", request->method, request->path);
    int length = snprintf(url, sizeof url, "%s%s", client->base, request->path);
    if (call->curl && length < (int)sizeof url && set_up(client, call, request, url))
        return call;
    curl_easy_cleanup(call->curl);
    curl_slist_free_all(call->headers);
    free(call);
    return NULL;
}

void client_run(struct client *client, int fd, unsigned timeout_ms)
{
    int running, left;
    CURLMsg *message;
    struct curl_waitfd waits[2];
    unsigned count = 0;
    if (wake_fd() >= 0)
        waits[count++] = (struct curl_waitfd){.fd = wake_fd(), .events = CURL_WAIT_POLLIN};
    if (fd >= 0)
        waits[count++] = (struct curl_waitfd){.fd = fd, .events = CURL_WAIT_POLLIN};
    curl_multi_perform(client->multi, &running);
    bool over = false;
    for (int turn = 0; turn < 2; turn++) {
        while ((message = curl_multi_info_read(client->multi, &left))) {
            struct client_call *call = NULL;
            curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&call);
            call->code = message->data.result;
            call->over = over = true;
        }
        if (turn == 0 && !over && curl_multi_poll(client->multi, waits, count, (int)timeout_ms, NULL) == CURLM_OK)
            curl_multi_perform(client->multi, &running);
    }
}

bool client_over(const struct client_call *call)
{
    return call->over;
}

/* What the problem document says, in its words. */
static enum ctl_exit refused(const struct client_reply *reply, char problem[CLIENT_PROBLEM_MAX])
{
    const char *code = client_text(reply->json, "code");
    enum ctl_exit status = reply->status == 404 && (!*code || !strcmp(code, "no_such_process") ||
                                                    !strcmp(code, "no_such_heap") || !strcmp(code, "no_such_entry"))
                               ? CTL_NO_PROCESS
                           : reply->status == 410 ? CTL_GONE
                           : reply->status == 504 ? CTL_LATE
                           : !strcmp(code, "bad_value") ? CTL_USAGE /* it came from the command line */
                                                  : CTL_FAILED;
    const char *detail = client_text(reply->json, "detail"), *title = client_text(reply->json, "title");
    const char *gone = strrchr(client_text(reply->json, "post_mortem"), '/');
    if (!*detail)
        detail = title;
    if (gone) /* the detail tells which address to ask */
        snprintf(problem, CLIENT_PROBLEM_MAX, "%s: tallyctl show %.8s tells what is still known", title, gone + 1);
    else if (strcmp(code, "no_baseline") == 0)
        snprintf(problem, CLIENT_PROBLEM_MAX, "no baseline was set: tallyctl baseline PROCESS keeps one");
    else if (*detail)
        snprintf(problem, CLIENT_PROBLEM_MAX, "%s", detail);
    else
        snprintf(problem, CLIENT_PROBLEM_MAX, "tallyd answered %ld", reply->status);
    return status;
}

static enum ctl_exit judge(const struct client *client, struct client_call *call, char problem[CLIENT_PROBLEM_MAX])
{
    struct client_reply *reply = &call->reply;
    if (!call->over && wake_interrupted())
        return CTL_INTERRUPTED;
    if (call->code != CURLE_OK && !call->unwanted) {
        if (call->code == CURLE_COULDNT_CONNECT && *client->socket_path)
            snprintf(problem, CLIENT_PROBLEM_MAX, "no daemon at %.300s: it has just gone", client->socket_path);
        else
            snprintf(problem, CLIENT_PROBLEM_MAX, "no answer from the daemon at %.300s: %s",
                     *client->socket_path ? client->socket_path : client->place, curl_easy_strerror(call->code));
        return CTL_NO_DAEMON;
    }
    if (reply->status < 200 || reply->status > 299)
        return refused(reply, problem);
    if (!call->data && reply->status != 204 && !reply->json) {
        snprintf(problem, CLIENT_PROBLEM_MAX, "what answers at %.300s is not tallyd", client->place);
        return CTL_FAILED;
    }
    return CTL_DONE;
}

enum ctl_exit client_end(struct client *client, struct client_call *call, struct client_reply *reply,
                         char problem[CLIENT_PROBLEM_MAX])
{
    *problem = '\0';
    if (call->over)
        curl_easy_getinfo(call->curl, CURLINFO_RESPONSE_CODE, &call->reply.status);
    if (call->reply.body)
        call->reply.json = json_loadb(call->reply.body, call->reply.bytes, 0, NULL);
    enum ctl_exit status = judge(client, call, problem);
    *reply = call->reply;
    if (status != CTL_DONE)
        client_reply_fini(reply);
    curl_multi_remove_handle(client->multi, call->curl);
    curl_easy_cleanup(call->curl);
    curl_slist_free_all(call->headers);
    free(call);
    return status;
}

enum ctl_exit client_try(struct client *client, const char *method, const char *path, const char *body, unsigned wait_ms,
                         struct client_reply *reply, char problem[CLIENT_PROBLEM_MAX])
{
    *reply = (struct client_reply){0};
    struct client_call *call = client_begin(client, &(struct client_request){.method = method, .path = path, .body = body,
                                                                             .patience_ms = wait_ms + client->patience_ms});
    if (!call) {
        snprintf(problem, CLIENT_PROBLEM_MAX, "out of memory");
        return CTL_FAILED;
    }
    while (!client_over(call) && !wake_interrupted())
        client_run(client, -1, 1000);
    return client_end(client, call, reply, problem);
}

enum ctl_exit client_call(struct client *client, const char *method, const char *path, const char *body,
                          unsigned wait_ms, struct client_reply *reply)
{
    char problem[CLIENT_PROBLEM_MAX];
    enum ctl_exit status = client_try(client, method, path, body, wait_ms, reply, problem);
    return *problem ? ctl_fail(status, "%s", problem) : status;
}

void client_reply_fini(struct client_reply *reply)
{
    json_decref(reply->json);
    free(reply->body);
    *reply = (struct client_reply){0};
}

/* Moves the processes of `page` to the end of `whole`, whose cursor becomes the page's. */
static bool join_page(struct client_reply *whole, const struct client_reply *page)
{
    json_t *all = json_object_get(whole->json, "processes");
    if (json_array_extend(all, json_object_get(page->json, "processes")))
        return false;
    json_t *cursor = json_object_get(page->json, "next_cursor");
    return json_object_set(whole->json, "next_cursor", cursor ? cursor : json_null()) == 0;
}

enum ctl_exit client_processes(struct client *client, const char *query, struct client_reply *reply)
{
    char path[PLACE_PATH_MAX];
    bool joined = false;
    snprintf(path, sizeof path, "/v1/processes?%slimit=1000", query);
    enum ctl_exit status = client_call(client, "GET", path, NULL, 0, reply);
    while (status == CTL_DONE && *client_text(reply->json, "next_cursor")) {
        struct client_reply page;
        const char *cursor = client_text(reply->json, "next_cursor");
        int length = snprintf(path, sizeof path, "/v1/processes?%slimit=1000&cursor=%s", query, cursor);
        bool plain = cursor[strspn(cursor, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_=")] == '\0';
        status = plain && length < (int)sizeof path ? client_call(client, "GET", path, NULL, 0, &page)
                                                    : ctl_fail(CTL_FAILED, "a strange cursor");
        if (status == CTL_DONE) {
            joined = true;
            if (!join_page(reply, &page))
                status = ctl_fail(CTL_FAILED, "out of memory");
            client_reply_fini(&page);
        }
        if (status != CTL_DONE)
            client_reply_fini(reply);
    }
    if (status == CTL_DONE && joined) {
        free(reply->body);
        reply->body = json_dumps(reply->json, JSON_COMPACT);
        reply->bytes = reply->body ? strlen(reply->body) : 0;
    }
    return status;
}

const json_t *client_member(const json_t *object, const char *path)
{
    while (object) {
        const char *dot = strchrnul(path, '.');
        char name[64];
        size_t bytes = (size_t)(dot - path);
        if (bytes >= sizeof name)
            return NULL;
        memcpy(name, path, bytes);
        name[bytes] = '\0';
        object = json_object_get(object, name);
        if (!*dot)
            return object;
        path = dot + 1;
    }
    return NULL;
}

const char *client_text(const json_t *object, const char *path)
{
    const char *text = json_string_value(client_member(object, path));
    return text ? text : "";
}

uint64_t client_number(const json_t *object, const char *path)
{
    json_int_t value = json_integer_value(client_member(object, path));
    return value > 0 ? (uint64_t)value : 0;
}
