/* The last net under the feeds. Memory that is sealed and allocated does not fault, as far as the system
 * keeps its word; where it does not (a page that cannot be read back, broken hardware), tallyd must not die
 * of one client. A faulting page of the feeds being read is replaced by zeroes, which show as figures that
 * went back. */
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "intake/private.h"

#define WATCHED 2u

static _Thread_local struct { uintptr_t from, to; } watched[WATCHED];
static uintptr_t page_bytes;

static void fault(int number, siginfo_t *info, void *context)
{
    uintptr_t at = (uintptr_t)info->si_addr;
    (void)context;
    for (unsigned i = 0; i < WATCHED; i++)
        if (at >= watched[i].from && at < watched[i].to &&
            mmap((void *)(at & ~(page_bytes - 1)), page_bytes, PROT_READ,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED)
            return;
    signal(number, SIG_DFL); /* not ours: the same access faults again, and ends the process as it should */
}

void intake_guard_install(void)
{
    struct sigaction action = {.sa_sigaction = fault, .sa_flags = SA_SIGINFO};
    page_bytes = (uintptr_t)sysconf(_SC_PAGESIZE);
    sigemptyset(&action.sa_mask);
    sigaction(SIGBUS, &action, NULL);
}

void intake_guard_watch(const void *first, uint64_t first_bytes, const void *second, uint64_t second_bytes)
{
    watched[0].from = (uintptr_t)first;
    watched[0].to = first ? watched[0].from + first_bytes : 0;
    watched[1].from = (uintptr_t)second;
    watched[1].to = second ? watched[1].from + second_bytes : 0;
}
