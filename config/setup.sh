#!/bin/sh
# setup.sh run|test|arm64: installs the Debian packages of config/debian-packages that are missing.
# As root or with sudo; otherwise prints the line to type and stops with status 1.
set -eu

stage=${1:?usage: setup.sh run|test|arm64}
list=$(dirname "$0")/debian-packages

installed() {
    dpkg-query -W -f '${db:Status-Status}\n' "$1" 2>/dev/null | grep -qx installed
}

missing=
while read -r package for command; do
    case $package in '' | '#'*) continue ;; esac
    case $stage/$for in */run | test/test | arm64/*) ;; *) continue ;; esac
    [ "$command" != - ] && command -v "$command" >/dev/null 2>&1 && continue
    installed "$package" || missing="$missing $package"
done <"$list"
[ -n "$missing" ] || exit 0

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
