/* Where ctl_fail() writes to. */
#ifndef TALLYCTL_COMPLAIN_H
#define TALLYCTL_COMPLAIN_H

#include <stdio.h>

/* From here on complaints go there, which stays the caller's; returns where they went before: at first stderr. */
FILE *complain_to(FILE *to);

#endif
