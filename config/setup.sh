#!/bin/sh
# setup.sh run|test: installs the Debian packages of config/debian-packages that are missing.
# As root or with sudo; otherwise prints the line to type and stops with status 1.
set -eu

stage=${1:?usage: setup.sh run|test}
list=$(dirname "$0")/debian-packages

installed() {
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

missing=
while read -r package for command; do
    case $package in '' | '#'*) continue ;; esac
    [ "$for" = run ] || [ "$stage" = test ] || continue
    [ "$command" != - ] && command -v "$command" >/dev/null 2>&1 && continue
    installed "$package" || missing="$missing $package"
done <"$list"
[ -n "$missing" ] || exit 0

install="apt-get install -y --no-install-recommends$missing"
if ! command -v apt-get >/dev/null 2>&1; then
    echo "setup: these packages are missing, and there is no apt-get:$missing" >&2
    exit 1
elif [ "$(id -u)" = 0 ]; then
    as_root=
elif command -v sudo >/dev/null 2>&1 && { sudo -n true 2>/dev/null || [ -t 0 ]; }; then
    as_root=sudo
else
    printf 'setup: packages are missing. As root, type:\n  apt-get update && %s\n' "$install" >&2
    exit 1
fi

echo "setup: installing$missing"
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# shellcheck disable=SC2086 # both are lists of words
if ! { $as_root apt-get update -qq && $as_root $install -qq; } </dev/null >"$log" 2>&1; then
    cat "$log" >&2
    echo "setup: could not install the packages" >&2
    exit 1
fi
