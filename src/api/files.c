#include "api/files.h"

#include <stdio.h>
#include <string.h>

#include "api/private.h"

static const struct embedded_file *file_find(const struct request *request)
{
    char path[2 * SEGMENT_BYTES] = "";
    size_t used = 0;
    for (unsigned i = 0; i < request->segment_count && used < sizeof path; i++)
        used += (size_t)snprintf(path + used, sizeof path - used, "/%s", request->segments[i]);
    if (used >= sizeof path)
        return NULL;
    for (size_t i = 0; i < web_file_count; i++)
        if (!strcmp(web_files[i].path, strcmp(path, "/") ? path : "/index.html"))
            return &web_files[i];
    return NULL;
}

/* Files change with the daemon alone: the browser asks each time and mostly hears 304. */
enum MHD_Result files_serve(struct request *request, bool *found)
{
    const struct embedded_file *file = file_find(request);
    *found = file;
    if (!file)
        return MHD_NO;
    const char *known = MHD_lookup_connection_value(request->mhd, MHD_HEADER_KIND, "If-None-Match");
    bool same = known && !strcmp(known, file->etag);
    struct MHD_Response *response = MHD_create_response_from_buffer(
        same ? 0 : (size_t)(file->end - file->start), (void *)(uintptr_t)file->start, MHD_RESPMEM_PERSISTENT);
    if (!response)
        return MHD_NO;
    MHD_add_response_header(response, "Content-Type", file->type);
    MHD_add_response_header(response, "ETag", file->etag);
    respond_headers(response, true);
    return respond_queue(request, same ? MHD_HTTP_NOT_MODIFIED : MHD_HTTP_OK, response);
}
