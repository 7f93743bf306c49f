/* The program; everything else is in ctl_main(), where tests reach it. */
#include "tallyctl/tallyctl.h"

int main(int argc, char **argv)
{
    return (int)ctl_main(argc, argv);
}
