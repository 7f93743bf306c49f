#!/usr/bin/env python3
"""The pages of the programs, from the tables that the programs are made of: manuals.py PAGE VERSION > PAGE

PAGE is tallyd.8, tallyd.conf.5 or tallyctl.1. (tally(3) is manpage.py's.)
"""
import os
import sys

from manpage import roff
from tables import options, rows, said_of

SOURCE = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "src")


def table(path, columns):
    return list(rows(os.path.join(SOURCE, path), columns))


def sentence(text):
    return roff(text[:1].upper() + text[1:]) + "."


def entry(head, text):
    return [".TP", head, text]


def option_text(option):
    """What the row says, what it may be, and what it is where nobody says otherwise."""
    parts = [option["help"], said_of(option)]
    if option["standard"] is not None and option["kind"] != "FLAG":
        parts.append("standard value " + option["standard"])
    return sentence("; ".join(part for part in parts if part))


def exits(path):
    return [".SH EXIT STATUS"] + [line for row in table(path, "name status sentence")
                                  for line in entry(row["status"], sentence(row["sentence"]))]


def heading(name, section, title, version, what):
    return [f'.TH {name.upper()} {section} "" "tally {version}" "{title}"', ".SH NAME", roff(name) + " \\- " + roff(what)]


FILES = [
    ("$XDG_RUNTIME_DIR/tally, or /run/tally with --system",
     "The runtime folder: agent.sock, which programs attach to; api.sock, the HTTP API on a Unix socket; http.addr, the TCP address that is bound; token, the bearer token."),
    ("$XDG_STATE_HOME/tally, ~/.local/state/tally, or /var/lib/tally with --system",
     "The state folder: what survives a restart: history.db; artifacts, the snapshots of heaps; rules.json; token, the daemon's own; tokens and sessions, hashes of the others."),
    ("$XDG_CONFIG_HOME/tally/tallyd.conf, ~/.config/tally/tallyd.conf, or /etc/tally/tallyd.conf with --system",
     "The config file, where there is one: tallyd.conf(5)."),
]
SIGNALS = [("SIGTERM, SIGINT", "Says goodbye to streams and programs, and ends."),
           ("SIGHUP", "Reads the config file again, takes over what can be, and logs what cannot.")]


def tallyd(version):
    page = heading("tallyd", 8, "System Administration", version, "serves the heaps of programs that embed libtally")
    page += [".SH SYNOPSIS", ".B tallyd", "[\\fIOPTION\\fR]...", ".SH DESCRIPTION",
             roff("tallyd accepts programs that embed libtally on a Unix socket, reads their heaps' counters and events from "
                  "shared memory, and serves statistics and controls over HTTP: on loopback TCP with a bearer token, and on "
                  "a Unix socket to whom the kernel lets connect. Whatever it does, the programs live."),
             ".PP", roff("Each option is a flag, an environment variable (TALLYD_NAME, in capitals and with _ for -) and a "
                         "key of the config file; a flag wins over a variable, a variable over the file."), ".SH OPTIONS"]
    for option in options(os.path.join(SOURCE, "tallyd/options.def")):
        argument = f"=\\fI{roff(option['argument'])}\\fR" if option["argument"] else ""
        page += entry(f"\\fB{roff('--' + option['name'])}\\fR{argument}", option_text(option))
    for title, list_ in (("FILES", FILES), ("SIGNALS", SIGNALS)):
        page += [f".SH {title}"] + [line for head, text in list_ for line in entry(roff(head), roff(text))]
    page += exits("tallyd/exits.def")
    return page + [".SH SEE ALSO", ".BR tallyd.conf (5),", ".BR tallyctl (1),", ".BR tally (3)"]


def tallyd_conf(version):
    page = heading("tallyd.conf", 5, "File Formats", version, "the config file of tallyd")
    page += [".SH DESCRIPTION",
             roff("Sections in brackets, below them lines KEY = VALUE of UTF-8, at most 197 bytes each. A comment is a line that "
                  "starts with # or ;, or what follows a blank and a ;. An unknown key or section, a key that stands twice and a "
                  "value that is not allowed are errors, named with file, line and what is allowed: tallyd --check-config "
                  "tells them, or what is in force and where it comes from.")]
    section = None
    for option in options(os.path.join(SOURCE, "tallyd/options.def")):
        if not option["section"]:
            continue
        if option["section"] != section:
            section = option["section"]
            page.append(f".SH [{section}]")
        page += entry(f"\\fB{roff(option['name'])}\\fR = \\fI{roff(option['argument'] or 'yes|no')}\\fR", option_text(option))
    return page + [".SH FILES"] + entry(roff(FILES[2][0]), "One of these is read, or what \\-\\-config names.") + \
        [".SH SEE ALSO", ".BR tallyd (8)"]


CTL_ENVIRONMENT = [
    ("TALLY_RUNTIME_DIR, XDG_RUNTIME_DIR", "Where tallyd is looked for, as --runtime-dir says."),
    ("TALLY_TOKEN", "The bearer token for --host, without --token."),
    ("NO_COLOR", "Set to anything: no colours."),
    ("TERM, LANG, LC_CTYPE, COLUMNS", "What the terminal can show; the width of top --once."),
]


def arguments_shown(text):
    """Words that stand for themselves are bold, values are italic."""
    shown = ""
    for word in text.split():
        literal = word[0].islower() and "|" not in word
        shown += f" \\f{'B' if literal else 'I'}{roff(word)}\\fR"
    return shown


def tallyctl(version):
    page = heading("tallyctl", 1, "User Commands", version, "shows and steers programs that embed libtally")
    page += [".SH SYNOPSIS", ".B tallyctl", "[\\fIOPTION\\fR]... \\fICOMMAND\\fR [\\fIARGUMENT\\fR]...", ".SH DESCRIPTION",
             roff("tallyctl asks the tallyd of this user, or of this machine, over its control socket. PROCESS is a process's id, "
                  "the beginning of one, its pid or its name."), ".SH COMMANDS"]
    for row in table("tallyctl/commands.def", {"CTL_GROUP": "title", "CTL_COMMAND": "word arguments does handler help"}):
        if row["row"] == "CTL_GROUP":
            page += [".SS " + roff(row["title"])]
        else:
            page += entry(f"\\fB{roff(row['word'])}\\fR{arguments_shown(row['arguments'])}", sentence(row["help"]))
    page += [".SH SETTINGS", roff("What set changes, as SETTING=VALUE:")]
    for row in table("tallyctl/settings.def", "word member read words values"):
        page += entry(f"\\fB{roff(row['word'])}\\fR", sentence(row["values"]))
    page.append(".SH OPTIONS")
    for row in table("tallyctl/options.def", "letter word kind member argument allowed commands help"):
        argument = f" \\fI{roff(row['argument'])}\\fR" if row["argument"] else ""
        short = f"\\fB\\-{row['letter']}\\fR, " if len(row["letter"]) == 1 else ""
        taken = f" Of {', '.join(row['commands'].replace('/', ' ... ').split(' ')).replace(', ..., ', ' ... ')}." if row["commands"] else ""
        page += entry(f"{short}\\fB{roff('--' + row['word'])}\\fR{argument}", sentence(row["help"]) + roff(taken))
    page += [".SH KEYS OF TOP"]
    keys = []
    for row in table("tallyctl/top_help.def", "keys what"):
        if row["keys"]:
            keys.append([row["keys"], row["what"]])
        else:
            keys[-1][1] += " " + row["what"]
    for word, what in keys:
        page += entry(f"\\fB{roff(word)}\\fR", sentence(what))
    page += [".PP", "The columns, from the left, as far as there is room for them; \\-\\-sort takes their names:"]
    figures = {row["path"]: row["help"] for row in table("stats/fields.def", "member path kind unit label help")}
    for row in table("tallyctl/top.def", "name heading width path help"):
        page += entry(f"\\fB{roff(row['heading'])}\\fR", roff(row["help"] or figures[row["path"]]))
    page += [".SH ENVIRONMENT"] + [line for name, text in CTL_ENVIRONMENT for line in entry(name, roff(text))]
    page += exits("tallyctl/exits.def")
    return page + [".SH SEE ALSO", ".BR tallyd (8)"]


PAGES = {"tallyd.8": tallyd, "tallyd.conf.5": tallyd_conf, "tallyctl.1": tallyctl}

if __name__ == "__main__":
    print("\n".join(PAGES[os.path.basename(sys.argv[1])](sys.argv[2])))
