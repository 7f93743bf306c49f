/* The library built without its agent (make AGENT=no): no thread, no socket, no shared memory, and no code for them.
 * What a host calls is there, says no, and changes nothing. */
#include <stdio.h>
#include <string.h>

#include "tally.h"
#include "wire/message.h"

int tally_set_name(const char *name)
{
    size_t bytes = name ? strnlen(name, WIRE_NAME_MAX + 1) : 0;
    return bytes && bytes <= WIRE_NAME_MAX && wire_text_valid(name, bytes) ? 0 : TALLY_EINVAL;
}

int tally_set_label(const char *key, const char *value)
{
    size_t bytes = value ? strnlen(value, WIRE_NAME_MAX + 1) : WIRE_NAME_MAX + 1;
    bool valid = key && wire_key_valid(key, strnlen(key, WIRE_KEY_MAX + 1)) && bytes <= WIRE_NAME_MAX;
    return valid && wire_text_valid(value, bytes) ? 0 : TALLY_EINVAL;
}

int tally_attach(struct tally_heap *heap)
{
    (void)heap;
    return TALLY_EDISABLED;
}

void tally_detach(struct tally_heap *heap)
{
    (void)heap;
}

bool tally_agent_status(char *sentence, size_t size)
{
    snprintf(sentence, size, "not attached: this library was built without its agent");
    return false;
}
