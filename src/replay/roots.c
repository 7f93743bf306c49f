#include "replay/roots.h"

#include <stdlib.h>

#include "tally.h"

static void link_newest(struct names *names, struct name *name)
{
    name->bound = true;
    name->newer = NULL;
    name->older = names->newest;
    *(names->newest ? &names->newest->newer : &names->oldest) = name;
    names->newest = name;
}

static void unlink_bound(struct names *names, struct name *name)
{
    *(name->older ? &name->older->newer : &names->oldest) = name->newer;
    *(name->newer ? &name->newer->older : &names->newest) = name->older;
    name->older = name->newer = NULL;
    name->bound = false;
}

void root_bind_steal(struct names *names, struct name *name, void *object)
{
    void *old = name->object;
    name->object = object;
    if (!name->bound)
        link_newest(names, name);
    if (!old)
        return;
    tally_dup(object);
    tally_decref(old);
    if (object)
        tally_decref(object);
}

void root_bind(struct names *names, struct name *name, void *object)
{
    root_bind_steal(names, name, tally_dup(object));
}

void root_drop(struct names *names, struct name *name)
{
    void *object = name->object;
    name->object = NULL;
    unlink_bound(names, name);
    if (object)
        tally_decref(object);
}

bool roots_drop_matching(struct names *names, struct word start)
{
    size_t count = 0;
    for (const struct name *name = names->oldest; name; name = name->newer)
        count += name_starts_with(name, start);
    struct name **matching = count ? malloc(count * sizeof(struct name *)) : NULL;
    if (count && !matching)
        return false;
    size_t at = 0;
    for (struct name *name = names->oldest; name; name = name->newer)
        if (name_starts_with(name, start))
            matching[at++] = name;
    for (size_t i = 0; i < count; i++)
        if (matching[i]->bound)
            root_drop(names, matching[i]);
    free(matching);
    return true;
}
