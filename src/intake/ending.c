/* How a process ended, as far as the kernel tells one that is not its parent: from Linux 6.15 on a pidfd that was
 * opened in time says it, once the process's parent has waited for it. */
#include <sys/ioctl.h>

#include "intake/private.h"

/* Linux's struct pidfd_info in its first version, which libc's headers do not have yet. */
struct pidfd_info {
    uint64_t mask, cgroup_id;
    uint32_t pid, tgid, ppid, ruid, rgid, euid, egid, suid, sgid, fsuid, fsgid;
    int32_t exit_code;
};
_Static_assert(sizeof(struct pidfd_info) == 64, "pidfd_info layout");
#define PIDFD_GET_INFO _IOWR(0xFF, 11, struct pidfd_info)
#define PIDFD_INFO_EXIT ((uint64_t)1 << 3)

bool intake_ending(int pidfd, int *status)
{
    struct pidfd_info info = {.mask = PIDFD_INFO_EXIT};
    if (pidfd < 0 || ioctl(pidfd, PIDFD_GET_INFO, &info) || !(info.mask & PIDFD_INFO_EXIT))
        return false;
    *status = info.exit_code;
    return true;
}
