/* Why it is not attached, in one sentence: the first thing that a user asks. */
#include <stdio.h>
#include <string.h>

#include "agent/agent.h"

static const char *system_sentence(int error)
{
    const char *sentence = error ? strerrordesc_np(error) : NULL;
    return sentence ? sentence : "unknown error";
}

static void down_sentence(const struct agent *agent, char *out, size_t size)
{
    const char *directory = agent->directories[agent->directory];
    switch (agent->reason) {
    case REASON_NEVER:
        snprintf(out, size, "not attached: no daemon was looked for yet");
        break;
    case REASON_NO_DAEMON:
        snprintf(out, size, "not attached: no daemon at %s/agent.sock (%s)", directory,
                 system_sentence(agent->error));
        break;
    case REASON_STRANGER:
        snprintf(out, size, "not attached: %s/agent.sock belongs to uid %u, not to us", directory,
                 agent->uid);
        break;
    case REASON_LOST:
        snprintf(out, size, "not attached: the daemon at %s/agent.sock ended the connection", directory);
        break;
    case REASON_NONSENSE:
        snprintf(out, size, "not attached: the daemon at %s/agent.sock spoke nonsense (%s)", directory,
                 wire_fault_sentence(agent->error));
        break;
    case REASON_SILENT:
        snprintf(out, size, "not attached: the daemon at %s/agent.sock does not answer", directory);
        break;
    case REASON_FULL:
        snprintf(out, size, "not attached: the daemon at %s/agent.sock does not read", directory);
        break;
    }
}

bool tally_agent_status(char *sentence, size_t size)
{
    struct agent *agent = agent_get();
    bool attached = false;
    if (!agent) {
        snprintf(sentence, size, "not attached: out of memory");
        return false;
    }
    pthread_mutex_lock(&agent->lock);
    if (agent_secure())
        snprintf(sentence, size, "not attached: a setuid program never attaches");
    else if (agent_disabled())
        snprintf(sentence, size, "not attached: disabled by TALLY_DISABLE");
    else if (!agent->heaps && agent->attach_error)
        snprintf(sentence, size, "not attached: the system refused what attaching needs (%s)",
                 system_sentence(agent->attach_error));
    else if (!agent->heaps)
        snprintf(sentence, size, "not attached: no heap asked for it");
    else if (agent->link == LINK_DOWN)
        down_sentence(agent, sentence, size);
    else if (agent->link == LINK_GREETING)
        snprintf(sentence, size, "not attached: the daemon at %s/agent.sock has not answered yet",
                 agent->directories[agent->directory]);
    else {
        attached = true;
        snprintf(sentence, size, "attached to tallyd %s in %s", agent->daemon,
                 agent->directories[agent->directory]);
    }
    pthread_mutex_unlock(&agent->lock);
    return attached;
}
