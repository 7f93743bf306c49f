/* What the files of artifacts share. */
#ifndef TALLY_API_ARTIFACTS_H
#define TALLY_API_ARTIFACTS_H

#include "api/private.h"
#include "snapshot/snapshot.h"

/* Whether it has the form of an id. */
bool artifact_is_id(const char *text);
/* The artifact of that id, as it is now. false: answered. */
bool artifact_find(struct request *request, const char *id, struct snapshot_artifact *artifact, enum MHD_Result *answered);
/* It as a file of that format, where it is ready. Whether the request may have it is the caller's to see. */
enum MHD_Result artifact_download(struct request *request, const struct snapshot_artifact *artifact, const char *format);
/* The graph of the artifact that the path names, to be closed; NULL: answered. */
struct snapshot_graph *artifact_graph(struct request *request, enum MHD_Result *answered);
/* Closes the graph and answers with what was read of it, which it steals; with a problem, where the files could not be read
 * meanwhile. */
enum MHD_Result artifact_respond(struct request *request, struct snapshot_graph *graph, json_t *json);
/* Why no graph could be had: what snapshot_graph_open() returned. */
enum MHD_Result artifact_refuse(struct request *request, const char *id, int error);
/* A text of a snapshot; null where it is empty. */
json_t *artifact_text(struct snapshot_text text);
/* The type that ?type= names, or SNAPSHOT_NO_OBJECT where it is not given. false: answered. */
bool artifact_type(struct request *request, const struct snapshot_graph *graph, uint32_t *type, enum MHD_Result *answered);

/* downloads.c: the artifact as a file of that format, as fast as it is taken; artifact: ready. */
enum MHD_Result download_start(struct request *request, const struct snapshot_artifact *artifact, const char *format);

#endif
