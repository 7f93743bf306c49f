#include "tallyctl/client.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tallyctl/place.h"

/* More than any answer of tallyd: what is longer is not from tallyd. */
#define BODY_MAX (256u << 20)
#define PATIENCE_MS 10000u
#define PAGE "/v1/processes?limit=1000"

struct client {
    CURL *curl;
    struct curl_slist *headers;
    char directory[PLACE_PATH_MAX];
    char socket_path[PLACE_PATH_MAX];
};

/* The first directory whose socket answers. One line tells of all that did not. */
static enum ctl_exit find_daemon(const struct ctl *ctl, struct client *client)
{
    struct places places;
    place_list(&places, ctl->runtime_dir);
    int errors[PLACE_MAX] = {0};
    for (size_t i = 0; i < places.count; i++) {
        memcpy(client->directory, places.paths[i], sizeof client->directory);
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

enum ctl_exit client_open(const struct ctl *ctl, struct client **out)
{
    struct client *client = calloc(1, sizeof *client);
    if (!client)
        return ctl_fail(CTL_FAILED, "out of memory");
    enum ctl_exit status = find_daemon(ctl, client);
    if (status == CTL_DONE) {
        client->curl = curl_easy_init();
        client->headers = curl_slist_append(NULL, "Content-Type: application/json");
        if (!client->curl || !client->headers)
            status = ctl_fail(CTL_FAILED, "out of memory");
    }
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
    curl_easy_cleanup(client->curl);
    free(client);
}

const char *client_directory(const struct client *client)
{
    return client->directory;
}

static size_t receive(char *data, size_t size, size_t count, void *arg)
{
    struct client_reply *reply = arg;
    size_t bytes = size * count;
    if (bytes > BODY_MAX - reply->bytes)
        return 0;
    char *body = realloc(reply->body, reply->bytes + bytes + 1);
    if (!body)
        return 0;
    memcpy(body + reply->bytes, data, bytes);
    reply->body = body;
    reply->bytes += bytes;
    body[reply->bytes] = '\0';
    return bytes;
}

static CURLcode perform(struct client *client, const char *method, const char *path, const char *body,
                        unsigned wait_ms, struct client_reply *reply)
{
    CURL *curl = client->curl;
    char url[PLACE_PATH_MAX];
    if (!place_join(url, "http://localhost", path + 1))
        return CURLE_URL_MALFORMAT;
    curl_easy_reset(curl);
    curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, client->socket_path);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)(wait_ms + PATIENCE_MS));
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, receive);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, reply);
    if (body) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
        curl_easy_setopt(curl, CURLOPT_HTTPHEADER, client->headers);
    }
    CURLcode code = curl_easy_perform(curl);
    if (code == CURLE_OK)
        curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &reply->status);
    return code;
}

/* Says what the problem document says, in its words. */
static enum ctl_exit refused(const struct client_reply *reply)
{
    enum ctl_exit status = reply->status == 404   ? CTL_NO_PROCESS
                           : reply->status == 410 ? CTL_GONE
                           : reply->status == 504 ? CTL_LATE
                                                  : CTL_FAILED;
    const char *detail = client_text(reply->json, "detail");
    if (!*detail)
        detail = client_text(reply->json, "title");
    return *detail ? ctl_fail(status, "%s", detail) : ctl_fail(status, "tallyd answered %ld", reply->status);
}

enum ctl_exit client_call(struct client *client, const char *method, const char *path, const char *body,
                          unsigned wait_ms, struct client_reply *reply)
{
    *reply = (struct client_reply){0};
    CURLcode code = perform(client, method, path, body, wait_ms, reply);
    enum ctl_exit status = CTL_DONE;
    if (code == CURLE_COULDNT_CONNECT)
        status = ctl_fail(CTL_NO_DAEMON, "no daemon at %s: it has just gone", client->socket_path);
    else if (code != CURLE_OK)
        status = ctl_fail(CTL_NO_DAEMON, "no answer from the daemon at %s: %s", client->socket_path,
                          curl_easy_strerror(code));
    if (status == CTL_DONE) {
        reply->json = reply->body ? json_loadb(reply->body, reply->bytes, 0, NULL) : NULL;
        if (reply->status < 200 || reply->status > 299)
            status = refused(reply);
        else if (!json_is_object(reply->json))
            status = ctl_fail(CTL_FAILED, "what answers at %s is not tallyd", client->socket_path);
    }
    if (status != CTL_DONE)
        client_reply_fini(reply);
    return status;
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

enum ctl_exit client_processes(struct client *client, struct client_reply *reply)
{
    enum ctl_exit status = client_call(client, "GET", PAGE, NULL, 0, reply);
    bool joined = false;
    while (status == CTL_DONE && *client_text(reply->json, "next_cursor")) {
        struct client_reply page;
        char path[PLACE_PATH_MAX];
        char *cursor = curl_easy_escape(client->curl, client_text(reply->json, "next_cursor"), 0);
        bool fits = cursor && place_join(path, "", "v1/processes?limit=1000&cursor=") &&
                    strlen(path) + strlen(cursor) < sizeof path;
        if (fits)
            memcpy(path + strlen(path), cursor, strlen(cursor) + 1);
        curl_free(cursor);
        status = fits ? client_call(client, "GET", path, NULL, 0, &page)
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
