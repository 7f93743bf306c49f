#include "tallyctl/wake.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

static int fd = -1;
static volatile sig_atomic_t interrupted;

static void mark(int signal_number)
{
    int kept = errno;
    uint64_t one = 1;
    if (signal_number != SIGWINCH && interrupted) {
        signal(signal_number, SIG_DFL);
        raise(signal_number);
    }
    if (signal_number != SIGWINCH)
        interrupted = 1;
    if (write(fd, &one, sizeof one) < 0)
        errno = 0; /* it is readable already */
    errno = kept;
}

void wake_catch(void)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGWINCH};
    struct sigaction action = {.sa_handler = mark, .sa_flags = SA_RESTART};
    if (fd >= 0 || (fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) < 0)
        return;
    for (unsigned i = 0; i < sizeof signals / sizeof *signals; i++) {
        struct sigaction before;
        if (!sigaction(signals[i], NULL, &before) && before.sa_handler != SIG_IGN)
            sigaction(signals[i], &action, NULL);
    }
}

int wake_fd(void)
{
    return fd;
}

bool wake_interrupted(void)
{
    return interrupted;
}

void wake_clear(void)
{
    uint64_t count;
    if (fd >= 0 && read(fd, &count, sizeof count) < 0)
        return;
}
