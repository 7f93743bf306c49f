#!/bin/sh
# setup.sh run|test|arm64: installs the Debian packages of config/debian-packages that are missing.
# As root or with sudo; otherwise prints the line to type and stops with status 1. Those of stage unpack need neither.
set -eu

stage=${1:?usage: setup.sh run|test|arm64}
list=$(dirname "$0")/debian-packages
tools=$(dirname "$0")/../build/tools

installed() {
    dpkg-query -W -f '${db:Status-Status}\n' "$1" 2>/dev/null | grep -qx installed
}

missing=
loose=
while read -r package for command; do
    case $package in '' | '#'*) continue ;; esac
    case $stage/$for in */run | test/test | test/unpack | arm64/*) ;; *) continue ;; esac
    [ "$command" != - ] && command -v "$command" >/dev/null 2>&1 && continue
    if [ "$for" = unpack ]; then
        [ -x "$tools/usr/bin/$command" ] || loose="$loose $package"
    else
        installed "$package" || missing="$missing $package"
    fi
done <"$list"

# Without the packages' servers; what depends on them says that it was skipped where there is no way to them.
unpack() {
    into=$(mktemp -d)
    mkdir -p "$tools"
    echo "setup: unpacking$loose into build/tools"
    # shellcheck disable=SC2086 # a list of words
    if ! { { (cd "$into" && apt-get download -qq $loose) || (apt-get update -qq && cd "$into" && apt-get download -qq $loose); } &&
        for file in "$into"/*.deb; do dpkg -x "$file" "$tools" || exit 1; done; } </dev/null >/dev/null 2>&1; then
        echo "setup: could not unpack$loose: tests that need it are skipped" >&2
    fi
    rm -rf "$into"
}

install_missing() {
    install="apt-get install -y --no-install-recommends$missing"
    prepare=
    if [ "$stage" = arm64 ] && ! { dpkg --print-architecture; dpkg --print-foreign-architectures; } | grep -qx arm64; then
        prepare='dpkg --add-architecture arm64'
    fi
    if ! command -v apt-get >/dev/null 2>&1; then
        echo "setup: these packages are missing, and there is no apt-get:$missing" >&2
        exit 1
    elif [ "$(id -u)" = 0 ]; then
        as_root=
    elif command -v sudo >/dev/null 2>&1 && { sudo -n true 2>/dev/null || [ -t 0 ]; }; then
        as_root=sudo
    else
        printf 'setup: packages are missing. As root, type:\n  %sapt-get update && %s\n' "${prepare:+$prepare && }" "$install" >&2
        exit 1
    fi

    echo "setup: installing$missing"
    export DEBIAN_FRONTEND=noninteractive
    log=$(mktemp)
    trap 'rm -f "$log"' EXIT
    # shellcheck disable=SC2086 # all are lists of words
    if ! { { [ -z "$prepare" ] || $as_root $prepare; } && $as_root apt-get update -qq && $as_root $install -qq; } </dev/null >"$log" 2>&1; then
        cat "$log" >&2
        echo "setup: could not install the packages" >&2
        exit 1
    fi
}

[ -z "$missing" ] || install_missing
[ -z "$loose" ] || unpack
