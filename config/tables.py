"""The rows of a .def table, for what is made of them outside the compiler."""
import ast
import re

TOKEN = re.compile(r"""\s*(?: (?P<comment>/\*.*?\*/) | (?P<text>"(?:\\.|[^"\\])*") | (?P<letter>'(?:\\.|[^'\\])') |
                           (?P<word>[\w.-]+) | (?P<sign>[(),]) )""", re.S | re.X)


def tokens(text):
    at = 0
    while text[at:].strip():
        match = TOKEN.match(text, at)
        if not match:
            raise ValueError(f"what is this in a table: {text[at:at + 40]!r}")
        at = match.end()
        if not match["comment"]:
            yield match.lastgroup, match[match.lastgroup]


def rows(path, columns):
    """Each ROW(...) of the file as a dict by the words of `columns`; "row" is the macro's name, NULL is None. Where a file
    has several macros, `columns` is a dict of their words by their names."""
    with open(path, encoding="utf-8") as file:
        stream = list(tokens(file.read()))
    at = 0
    while at < len(stream):
        values, name = [""], stream[at][1]
        at += 2  # and its bracket
        while stream[at] != ("sign", ")"):
            kind, word = stream[at]
            if (kind, word) == ("sign", ","):
                values.append("")
            elif kind in ("text", "letter"):
                values[-1] += ast.literal_eval(word)
            else:
                values[-1] = None if word == "NULL" else word
            at += 1
        at += 1
        words = columns[name] if isinstance(columns, dict) else columns
        yield {"row": name} | dict(zip(words.split(), values, strict=True))


def options(path):
    """tallyd's options, as src/tallyd/options.def explains them."""
    return list(rows(path, "section name kind argument member allowed standard reload help"))


def said_of(option):
    """What an option's kind and row say of its values."""
    parts = [{"FLAG": "yes or no", "WORD": (option["allowed"] or "").replace("|", ", "),
              "SIZE": "B, KiB, MiB, GiB or TiB", "DURATION": "ms, s, m, h or d"}.get(option["kind"])]
    if option["kind"] in ("NUMBER", "SIZE", "DURATION"):
        parts.insert(0, "from " + option["allowed"].replace("..", " to "))
    parts.append("SIGHUP takes a new value over" if option["reload"] == "ON_HUP" else None)
    return "; ".join(part for part in parts if part)
