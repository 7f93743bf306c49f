#!/usr/bin/env python3
"""config/tallyd.conf, the option manual, from the table: conffile.py src/tallyd/options.def > config/tallyd.conf"""
import sys
import textwrap

from tables import options, said_of

HEAD = """# tallyd.conf: every option of tallyd, with what it is where nobody says otherwise.
#
# Read from /etc/tally/tallyd.conf with --system, else from $XDG_CONFIG_HOME/tally/tallyd.conf or
# ~/.config/tally/tallyd.conf, or from where --config says. A key NAME is also the flag --NAME and, in capitals and with
# _ for -, the environment variable TALLYD_NAME; a flag wins over a variable, a variable over this file.
# `tallyd --check-config` says what is in force and where it comes from, or what is wrong and in which line.
#
# Lines have at most 197 bytes of UTF-8; a comment is a line that starts with # or ;, or what follows " ;".
"""


def main():
    print(HEAD, end="")
    section = None
    for option in options(sys.argv[1]):
        if not option["section"]:
            continue
        if option["section"] != section:
            section = option["section"]
            print(f"\n[{section}]")
        text = option["help"] + ("; " if said_of(option) else "") + said_of(option)
        print()
        for line in textwrap.wrap(text[0].upper() + text[1:] + ".", 112, break_long_words=False, break_on_hyphens=False):
            print("# " + line)
        print(f"; {option['name']} = {option['standard'] or option['argument']}")


if __name__ == "__main__":
    main()
