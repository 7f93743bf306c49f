#!/usr/bin/env python3
"""tally(3) from tally.h, whose comments are the documentation of record.

    manpage.py include/tally.h VERSION > tally.3

The header's opening comment is the description, each `/* ---- Title --- */` a section, each comment what is said of
the declarations that follow it.
"""
import re
import sys

SECTION = re.compile(r"/\* -{4} (.*?) -+ \*/")


def roff(text):
    """Text as roff takes it."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return "\n".join("\\&" + line if line[:1] in (".", "'") else line for line in text.split("\n"))


def comment_text(comment):
    """The words of a comment, and which lines of it were indented (code, tables)."""
    body = re.sub(r"^/\*|\*/$", "", comment.strip())
    lines = [re.sub(r"^ ?\* ?", "", line.strip() if line.strip().startswith("*") else line) for line in body.split("\n")]
    return [line.rstrip() for line in lines]


def paragraphs(lines):
    """roff of a comment: filled text, and literal lines where they are indented."""
    out, literal, bullet = [], False, False
    for line in lines:
        bullet = line.lstrip().startswith("- ") or (bullet and line.startswith(" "))
        if bullet:
            line = line.strip()
        code = line.startswith("    ") or (line.startswith("  ") and not line.lstrip().startswith("- "))
        if code and not literal:
            out.append(".nf")
        if not code and literal:
            out.append(".fi")
        literal = code
        if not line.strip():
            out.append(".PP")
        elif code:
            out.append(roff(line))
        elif line.lstrip().startswith("- "):
            out += [".IP \\(bu 2", roff(line.lstrip()[2:])]
        else:
            out.append(roff(line.strip()))
    return out + ([".fi"] if literal else [])


def declarations(text):
    """[(comment or None, code)] of a section, in order."""
    found, comment, code, depth = [], None, [], 0
    position = 0
    while position < len(text):
        start = re.compile(r"\s*").match(text, position).end()
        if text.startswith("/*", start) and not code:
            end = text.index("*/", start) + 2
            comment, position = text[start:end], end
            continue
        end = text.find("\n", start)
        end = len(text) if end < 0 else end
        line = text[start if not code else position:end].rstrip()
        position = end + 1
        if not line.strip():
            continue
        code.append(line)
        bare = re.sub(r"/\*.*?\*/|//.*", "", line)
        depth += bare.count("{") - bare.count("}")
        if depth == 0 and not line.endswith("\\") and re.search(r"[;}]\s*(/\*.*)?$|^#(?!.*\\$)", line.strip()):
            found.append((comment, "\n".join(code)))
            comment, code = None, []
    return found


def section(title, text):
    out = [f".SH {title.upper()}"]
    for comment, code in declarations(text):
        if code.startswith(("#if", "#endif", "#else", "#undef", "extern \"C\"")):
            continue
        out += [".PP", ".nf", "\\fB" + roff(code.replace("TALLY_API ", "")).replace("\n", "\\fP\n\\fB") + "\\fP", ".fi"]
        if comment:
            out += [".RS 4"] + paragraphs(comment_text(comment)) + [".RE"]
    return out


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        header = file.read()
    opening = comment_text(header[:header.index("*/") + 2])
    parts = SECTION.split(header)
    page = [f'.TH TALLY 3 "" "tally {sys.argv[2]}" "Library Functions"', ".SH NAME",
            "tally \\- reference counting and a cycle collector for C, observable while it runs", ".SH SYNOPSIS",
            ".nf", "\\fB#include <tally.h>\\fP", "", "cc ... \\-ltally \\-pthread", ".fi", ".SH DESCRIPTION",
            *paragraphs(opening)]
    for title, text in zip(parts[1::2], parts[2::2]):
        page += section(title, text.replace('#ifdef __cplusplus\n}\n#endif\n#endif', ''))
    page += [".SH ENVIRONMENT", ".TP", "TALLY_MANAGER", "the manager of heaps that do not choose one", ".TP",
             "TALLY_STRESS", "collect at every so many allocations", ".TP", "TALLY_DISABLE",
             "1: tally_attach() refuses", ".TP", "TALLY_RUNTIME_DIR", "where tallyd is looked for",
             ".SH SEE ALSO", "src/GUIDE.md (with CPython's and Nim's calls beside these), src/heap/COLLECTOR.md"]
    print("\n".join(line for line in page if line is not None))


if __name__ == "__main__":
    main()
