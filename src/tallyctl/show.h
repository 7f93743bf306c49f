/* Answers of the API, laid out for people: show_fn each. */
#ifndef TALLYCTL_SHOW_H
#define TALLYCTL_SHOW_H

#include "tallyctl/answer.h"

/* of programs: show_program.c */
void show_processes(const struct paper *paper, const json_t *json);
void show_process(const struct paper *paper, const json_t *json);
void show_types(const struct paper *paper, const json_t *json);
void show_collections(const struct paper *paper, const json_t *json);
void show_config(const struct paper *paper, const json_t *json);
/* fields: the catalogue of /v1/info, from which labels and units come. */
void show_stats(const struct paper *paper, const json_t *json, const json_t *fields);
void show_events(const struct paper *paper, const json_t *json);
/* Objects or shapes of cycles, whichever the answer lists. */
void show_listing(const struct paper *paper, const json_t *json);

/* of what was asked, and of what was: show_past.c */
void show_operation(const struct paper *paper, const json_t *json);
void show_operations(const struct paper *paper, const json_t *json);
void show_batch(const struct paper *paper, const json_t *json);
void show_history(const struct paper *paper, const json_t *json);
void show_known_processes(const struct paper *paper, const json_t *json);
void show_known_alerts(const struct paper *paper, const json_t *json);
void show_audit(const struct paper *paper, const json_t *json);
void show_purged(const struct paper *paper, const json_t *json);

/* of tallyd itself, its rules and tokens: show_daemon.c */
void show_info(const struct paper *paper, const json_t *json);
void show_health(const struct paper *paper, const json_t *json);
void show_session(const struct paper *paper, const json_t *json);
void show_link(const struct paper *paper, const json_t *json);
void show_tokens(const struct paper *paper, const json_t *json);
void show_token(const struct paper *paper, const json_t *json);
/* A new token's secret, which is shown this once. */
void show_secret(const struct paper *paper, const json_t *json);
void show_findings(const struct paper *paper, const json_t *json);
void show_rules(const struct paper *paper, const json_t *json);
void show_rule_series(const struct paper *paper, const json_t *json);
void show_rule_states(const struct paper *paper, const json_t *json);
void show_alerts(const struct paper *paper, const json_t *json);

/* of leaks: show_leaks.c */
void show_suspects(const struct paper *paper, const json_t *json);
void show_forecast(const struct paper *paper, const json_t *json);
void show_baselines(const struct paper *paper, const json_t *json);
void show_compared(const struct paper *paper, const json_t *json);
void show_artifacts(const struct paper *paper, const json_t *json);
void show_artifact(const struct paper *paper, const json_t *json);
void show_artifact_types(const struct paper *paper, const json_t *json);
void show_artifact_objects(const struct paper *paper, const json_t *json);
void show_artifact_object(const struct paper *paper, const json_t *json);
/* Objects at the other ends of references. */
void show_artifact_links(const struct paper *paper, const json_t *json);
void show_path(const struct paper *paper, const json_t *json);

#endif
