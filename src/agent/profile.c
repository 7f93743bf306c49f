/* What the process says of itself, and what its environment says to us. The profile is ordinary memory: a
 * child keeps its parent's name and labels. Its lock is the agent's, which a child finds open. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>

#include "agent/agent.h"

static struct wire_hello_view profile;
static bool frozen; /* a heap was attached */

static const char *environment(const char *name)
{
    const char *value = getenv(name);
    return value && value[0] ? value : NULL;
}

/* Who runs it is not whose rights it has: neither its environment nor a daemon of either user may reach into
 * it. */
bool agent_secure(void)
{
    return getauxval(AT_SECURE);
}

bool agent_disabled(void)
{
    if (agent_secure())
        return true;
    const char *value = environment("TALLY_DISABLE");
    return value && !strcmp(value, "1");
}

/* The environment is read here, in the thread that attaches, because getenv() in the helper thread would race
 * with a host that calls setenv(). */
void agent_directories(struct agent *agent)
{
    const char *own = environment("TALLY_RUNTIME_DIR");
    const char *user = environment("XDG_RUNTIME_DIR");
    memset(agent->directories, 0, sizeof agent->directories);
    if (own) {
        snprintf(agent->directories[0], AGENT_PATH_MAX, "%s", own);
        return;
    }
    if (user)
        snprintf(agent->directories[0], AGENT_PATH_MAX, "%s/tally", user);
    snprintf(agent->directories[user ? 1 : 0], AGENT_PATH_MAX, "/run/tally");
}

void agent_profile_freeze(void)
{
    frozen = true;
}

void agent_profile(struct wire_hello_view *view)
{
    *view = profile;
    if (view->name[0])
        return;
    size_t bytes = strnlen(program_invocation_short_name, WIRE_NAME_MAX);
    if (bytes && wire_text_valid(program_invocation_short_name, bytes))
        memcpy(view->name, program_invocation_short_name, bytes);
    else
        memcpy(view->name, "unnamed", sizeof "unnamed");
}

typedef int (*profile_fn)(const char *first, const char *second);

/* Runs `set` under the lock unless it is too late. */
static int profile_change(profile_fn set, const char *first, const char *second)
{
    struct agent *agent = agent_get();
    if (!agent)
        return TALLY_ENOMEM;
    pthread_mutex_lock(&agent->lock);
    int error = frozen ? TALLY_ESTATE : set(first, second);
    pthread_mutex_unlock(&agent->lock);
    return error;
}

static int name_set(const char *name, const char *unused)
{
    (void)unused;
    memset(profile.name, 0, sizeof profile.name);
    memcpy(profile.name, name, strlen(name));
    return 0;
}

static int label_set(const char *key, const char *value)
{
    unsigned at = 0;
    while (at < profile.label_count && strcmp(profile.labels[at].key, key))
        at++;
    if (at == WIRE_LABEL_MAX)
        return TALLY_ELIMIT;
    struct wire_label *label = &profile.labels[at];
    memset(label, 0, sizeof *label);
    memcpy(label->key, key, strlen(key));
    memcpy(label->value, value, strlen(value));
    if (at == profile.label_count)
        profile.label_count++;
    return 0;
}

static bool text_ok(const char *text, size_t least)
{
    size_t bytes = text ? strnlen(text, WIRE_NAME_MAX + 1) : 0;
    return text && bytes >= least && bytes <= WIRE_NAME_MAX && wire_text_valid(text, bytes);
}

int tally_set_name(const char *name)
{
    return text_ok(name, 1) ? profile_change(name_set, name, NULL) : TALLY_EINVAL;
}

int tally_set_label(const char *key, const char *value)
{
    if (!key || !wire_key_valid(key, strnlen(key, WIRE_KEY_MAX + 1)) || !text_ok(value, 0))
        return TALLY_EINVAL;
    return profile_change(label_set, key, value);
}
