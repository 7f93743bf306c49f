/* What tallyd gives up before it hears anybody, so that a bug in it is worth less: no new privileges, no memory for
 * others to look at, no system calls but those of syscalls.def, no files but its own. */
#ifndef TALLY_SANDBOX_SANDBOX_H
#define TALLY_SANDBOX_SANDBOX_H

#include <stdbool.h>

struct sandbox {
    bool no_new_privs, undumpable, syscalls;
    int landlock; /* the kernel's version of it, 0: none */
    char detail[160]; /* what is not in force and why; "": all is */
};

/* Enters it, as far as this kernel and this build can: in the only thread there is, for all that follow. Writes stay
 * possible below runtime_dir and state_dir, reads there, in the config file's folder (NULL: none) and of our own figures in
 * /proc. Sockets that are open stay so. */
void sandbox_enter(struct sandbox *sandbox, const char *runtime_dir, const char *state_dir, const char *config_file);

/* The version of the library that is used. */
const char *sandbox_library(void);

#endif
