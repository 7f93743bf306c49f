#include "tally.h"

const char *tally_strerror(int error)
{
    switch (error) {
    case 0:
        return "no error";
#define TALLY_X(name, value, sentence)                                                                       \
    case name:                                                                                               \
        return sentence;
        TALLY_ERRORS(TALLY_X)
#undef TALLY_X
    default:
        return "unknown error";
    }
}

const char *tally_version(void)
{
    return TALLY_VERSION;
}
