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
    bool same = etag_listed(request->headers[HEADER_KNOWN], file->etag);
    bool packed = file->packed_end - file->packed < file->end - file->start && form_of(request).gzip;
    const char *start = packed ? file->packed : file->start, *end = packed ? file->packed_end : file->end;
    struct MHD_Response *response = MHD_create_response_from_buffer(
        same ? 0 : (size_t)(end - start), (void *)(uintptr_t)start, MHD_RESPMEM_PERSISTENT);
    char etag[64];
    if (!response)
        return MHD_NO;
    snprintf(etag, sizeof etag, "%s%s", packed ? "W/" : "", file->etag);
    MHD_add_response_header(response, "Content-Type", file->type);
    MHD_add_response_header(response, "ETag", etag);
    MHD_add_response_header(response, "Vary", "Accept-Encoding");
    if (packed && !same)
        MHD_add_response_header(response, "Content-Encoding", "gzip");
    respond_headers(response, true);
    return respond_queue(request, same ? MHD_HTTP_NOT_MODIFIED : MHD_HTTP_OK, response);
}
