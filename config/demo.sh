#!/bin/bash
# demo.sh BUILD: tallyd on its defaults, in a runtime folder of its own, with two programs beside it, until Ctrl-C.
# Leaves no process, socket or file behind.
set -u

build=$(cd "${1:?usage: demo.sh BUILD}" && pwd)
programs=$(cd "$(dirname "$0")/../src/mal/demo" && pwd)
dir=$(mktemp -d "${TMPDIR:-/tmp}/tally-run.XXXXXX")
pids=()

finish() {
    trap '' INT TERM HUP
    for pid in "${pids[@]}"; do kill -TERM "$pid" 2>/dev/null; done
    for _ in {1..15}; do
        kill -0 "${pids[@]}" 2>/dev/null || break
        sleep 0.1
    done
    for pid in "${pids[@]}"; do kill -KILL "$pid" 2>/dev/null; done
    wait 2>/dev/null
    rm -rf "$dir"
    exit "$1"
}
trap 'finish 0' INT TERM HUP

start() { # NAME COMMAND...: in the background, its words in a log that is shown if it fails
    local name=$1
    shift
    "$@" </dev/null >"$dir/$name.log" 2>&1 &
    pids+=($!)
}

fail() { # NAME SENTENCE
    echo "demo: $2" >&2
    cat "$dir/$1.log" >&2
    finish 1
}

export TALLY_RUNTIME_DIR=$dir/run TALLY_STATE_DIR=$dir/state
mkdir -m 700 "$TALLY_RUNTIME_DIR" "$TALLY_STATE_DIR"

start tallyd "$build/tallyd"
for _ in {1..100}; do
    [ -s "$TALLY_RUNTIME_DIR/http.addr" ] && break
    kill -0 "${pids[0]}" 2>/dev/null || fail tallyd "tallyd did not start"
    sleep 0.05
done
[ -s "$TALLY_RUNTIME_DIR/http.addr" ] || fail tallyd "tallyd is not ready after 5 s"

start bakery "$build/tally-mal" --name bakery --label demo=cycles "$programs/bakery.mal"
start orchard "$build/tally-mal" --name orchard --label demo=waves "$programs/orchard.mal"

address=$(cat "$TALLY_RUNTIME_DIR/http.addr")
link=$("$build/tallyctl" --runtime-dir "$TALLY_RUNTIME_DIR" login) || fail tallyd "no login link"
cat <<TEXT

tallyd runs, and two programs beside it. Ctrl-C ends everything.

Dashboard (the link works once, within 60 s; 'tallyctl login' prints another):
  $link

From another terminal:
  curl -s -H "Authorization: Bearer \$(cat $TALLY_RUNTIME_DIR/token)" http://$address/v1/processes
  $build/tallyctl --runtime-dir $TALLY_RUNTIME_DIR list

TEXT

while :; do
    wait -n
    kill -0 "${pids[0]}" 2>/dev/null || fail tallyd "tallyd has ended"
    kill -0 "${pids[1]}" 2>/dev/null || fail bakery "bakery has ended"
    kill -0 "${pids[2]}" 2>/dev/null || fail orchard "orchard has ended"
done
