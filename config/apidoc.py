#!/usr/bin/env python3
"""src/api/API.md, the API's document for people, from the tables: apidoc.py > src/api/API.md"""
import os
import re

from tables import rows

SOURCE = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "src")

HEAD = """# The API of tallyd

JSON over HTTP, on two listeners: `api.sock` in the runtime directory (who may open the socket may do everything) and TCP
(`http.addr` tells where; every request but for the page and `/healthz` needs `Authorization: Bearer` with a token, whose
scope is told below). This file is made by `config/apidoc.py` from the tables that tallyd is made of; the schemas of all
bodies and answers are in `GET /v1/openapi.json` (OpenAPI 3.1).

```
curl --unix-socket $XDG_RUNTIME_DIR/tally/api.sock http://localhost/v1/processes
curl -H "Authorization: Bearer $(cat $XDG_RUNTIME_DIR/tally/token)" http://127.0.0.1:7717/v1/processes
```

## What holds everywhere

- **GET never changes anything.** HEAD is answered as GET, without the body (and asks no program); OPTIONS tells the methods. No answer carries a
  CORS header, and requests of other origins' pages are refused.
- **Later versions only add**: members, parameters, events, problem codes. Clients ignore what they do not know.
- **Numbers.** Integers are JSON integers, exact up to 2^63 - 1, where they saturate. A reader that keeps numbers as doubles
  is exact up to 2^53 - 1; it asks for `?bigint=string`, known on every route that answers JSON, and larger ones come as strings of digits.
  In requests a number is digits and nothing else: signs, blanks, fractions and anything behind them are refused. Names
  carry their unit (`_bytes`, `_ns`, `_us`, `_ms`, `_s`).
- **Times** are RFC 3339 in UTC, and nanoseconds of CLOCK_MONOTONIC (`_mono_ns`) where differences matter. A view says
  `as_of` when it was made, and by `seq`, which grows with every state, of which state it is.
- **Caching.** Views have an `ETag`: `"<start_id>-<seq>"` (types beside a baseline add its `seq`), or a hash of the content where a view has no `seq`.
  `If-None-Match` takes a list and compares weakly; what has not changed is 304. With a compressed body the tag is weak.
- **Lists** take `limit` (1 to 1000) and give `next_cursor` and `Link: <...>; rel="next"` while there is more. A cursor is
  opaque, good for its `sort` alone, and finds its place whatever has come or gone. `sort` takes a word, with `+` (upwards)
  or `-` before it. Without `limit` a list has at most 1000 rows.
- **A row a line**: where a route says so, `Accept: application/x-ndjson` gives the rows of its list, one JSON object a line.
- **gzip** for who accepts it, from 4 KiB on.
- **Controls are operations.** A POST answers 202 with an operation and its `Location`, or 200 with the finished one within
  `?wait=`. `deadline_ms` in the body counts from receipt (30,000 where it is not given): what has not begun by then never
  will. `GET /v1/operations/{op}?wait=` waits for it, DELETE cancels it. What asks the same of a heap while the first waits
  to begin shares its run. Operations end with tallyd, the last 1,000 are kept; of a batch (`POST /v1/batch`) there is one,
  with `processes` where it alone is shown.
- **GETs that ask the program** (`garbage`, its referrers, `objects`, `candidates`, `cycles`) change nothing, but cost it a
  pause of 10 ms at most, or of its `max_pause`: they need the scope control and leave an operation and an audit record. Where the time
  was up they have a `next_cursor` of each heap. 409 `vetoed`: the program does not allow it; 504: it did not answer in time.
- **`Idempotency-Key`** on a POST of scope control (1 to 128 visible characters): the same key, path and body from the same asker within 10
  minutes is the same operation, whatever happened to the first answer. Of more
  than 1000 keys the oldest is forgotten.
- **Errors** are problem documents (RFC 9457), `application/problem+json`: `type` (`/problems/<code>`), `code`, `title`,
  `status`, `detail`, `instance` (the path). `type` and `code` are stable, the sentences are for people. 422 names the
  `parameter` or, by a JSON pointer, the member (`pointer`), and what is allowed. 429 and 503 say when to come again
  (`Retry-After`, `retry_after_ms`). 410, for controls of what is gone, names the `post_mortem`, in a member and as
  `Link: <...>; rel="related"`. What libmicrohttpd refuses before we see it has no such body.
- **Checks** are made in one order: the form of the header, Host, token, Origin, route and method, parameters, content type,
  JSON, the body's schema.

"""


def table(path, columns):
    return list(rows(os.path.join(SOURCE, path), columns))


def print_table(head, lines):
    print("| " + " | ".join(head) + " |")
    print("|" + "---|" * len(head))
    for line in lines:
        print("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |")
    print()


def code(words):
    return " ".join(f"`{word}`" for word in words)


def answers(text):
    """The statuses, and what the body is."""
    out = []
    for one in filter(None, (part.strip() for part in text.split(","))):
        status, _, what = one.partition(" ")
        out.append(status + (f" {what}" if what else ""))
    return ", ".join(out)


def routes(parameters):
    print("## Routes\n")
    print("`{id}` is a process's id, or its pid where that is unambiguous; `{n}` a heap's number. Names after a status are\n"
          "schemas of the OpenAPI document.\n")
    print_table(["Route", "Scope", "Parameters", "Body", "Answers", ""],
                [[f"`{row['method']} {row['path']}`", row["scope"].lower(),
                  code(parameters[word]["name"] for word in row["parameters"].split()), row["body"] or "",
                  answers(row["answers"]), row["summary"]] for row in table(
                      "api/routes.def", "method path scope place handler parameters body answers summary")])


KINDS = {"INTEGER": "integer, {}", "BOOLEAN": "true or false", "WORD": "one of {}", "SORT": "one of {}, with + or - before it",
         "LIST": "some of {}, separated by commas", "DURATION": "like 5s, 250ms; at most {}", "TEXT": "text, {} bytes",
         "PAIR": "key:value; any number of times"}


def main():
    parameters = {row["word"]: row for row in table("api/parameters.def", {
        "SEGMENT": "name allowed help", "PARAMETER": "word name kind allowed help"}) if row["row"] == "PARAMETER"}
    print(HEAD, end="")
    routes(parameters)
    print("## Parameters\n")
    print_table(["Parameter", "Values", ""],
                [[f"`{row['name']}`", KINDS[row["kind"]].format(row["allowed"]), row["help"]]
                 for row in sorted(parameters.values(), key=lambda row: (row["name"], row["word"]))])
    print("## Events of `/v1/stream?topics=`\n")
    print("`text/event-stream`. At most 16 topics, separated by commas; a topic with `:{id}` is of one process. Each event has\n"
          "`id: <start_id>-<seq>`, the newest state then. `hello` comes first, then of every topic that has a state (fleet, stats,\n"
          "collections) the whole of it, then what changes: so a reader that comes again, after a `gap` or a broken connection,\n"
          "is up to date with the first frames. It sends the last id as `Last-Event-ID`, and `hello` tells it as `since`: where\n"
          "that is less than `seq`, operations may have changed (`GET /v1/operations`), and events of objects have passed; where\n"
          "it is null, this is another daemon, and nothing is as it was. Silence is broken by a comment every 10 s.\n")
    print_table(["Topic", "Event", "Data", ""], [event_row(row) for row in table("api/topics.def", {
        "TOPIC": "name word object event schema help", "EVENT": "event schema help"})])
    print("## Problem codes\n")
    print_table(["Code", "Status", ""], [[f"`{row['code']}`", row["status"], row["title"]]
                                         for row in sorted(table("api/problems.def", "code status title"),
                                                           key=lambda row: (row["status"], row["code"]))])
    print("## Why an operation failed\n")
    print("`state` is `failed`, and `code` one of:\n")
    print_table(["Code", ""], operation_codes())
    print("## Exit codes\n")
    for program in ("tallyd", "tallyctl"):
        print_table([f"`{program}`", ""], [[row["status"], row["sentence"]]
                                           for row in table(f"{program}/exits.def", "name status sentence")])


def event_row(row):
    topic = f"`{row['word']}{':{id}' if row['object'] == 'WITH_ID' else ''}`" if row["row"] == "TOPIC" else ""
    return [topic, f"`{row['event']}`", row["schema"], row["help"]]


def operation_codes():
    with open(os.path.join(SOURCE, "operations/operations.h"), encoding="utf-8") as file:
        text = file.read()
    block = text[text.index("#define OPERATION_CODES"):].split("\n\n")[0].split("/*")[0]
    return [[f"`{word}`", sentence] for word, sentence in re.findall(r'X\("(\w+)", "([^"]*)"\)', block)]


if __name__ == "__main__":
    main()
