#!/bin/bash
# What a newcomer does, on a machine that has nothing: a debootstrap root of Debian 12 with git and make, a clone of
# this repository's HEAD, `make test`, then `make run`, whose curl and tallyctl lines are typed as printed.
# Needs root and debootstrap; takes its package sources and npm settings from this machine.
set -euo pipefail

top=$(cd "$(dirname "$0")/../.." && pwd)
[ "$(id -u)" = 0 ] || { echo "check-fresh: needs root, for chroot" >&2; exit 1; }
command -v debootstrap >/dev/null || { echo "check-fresh: needs debootstrap: apt-get install debootstrap" >&2; exit 1; }

root=$(mktemp -d "${TMPDIR:-/tmp}/tally-fresh.XXXXXX")
chmod 755 "$root" # a bare machine lets every user into /
mounts=()
demo=
cleanup() {
    [ -z "$demo" ] || kill -TERM "$demo" 2>/dev/null || true
    for ((i = ${#mounts[@]} - 1; i >= 0; i--)); do umount -l "${mounts[i]}" || true; done
    rm -rf --one-file-system "$root"
}
trap cleanup EXIT

mirror=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' 'Codename: bookworm' | head -n 1)
echo "check-fresh: debootstrap into $root"
debootstrap --variant=minbase bookworm "$root" "$mirror" >"$root.log" 2>&1 || { tail -n 20 "$root.log" >&2; exit 1; }
rm -f "$root.log"

# The way to the packages is the machine's affair, not the project's.
rm -rf "$root/etc/apt/sources.list" "$root/etc/apt/sources.list.d"
cp -a /etc/apt/sources.list* "$root/etc/apt/" 2>/dev/null || true
cp -a /etc/apt/apt.conf.d/. "$root/etc/apt/apt.conf.d/"
cp -a /usr/share/keyrings/. "$root/usr/share/keyrings/" 2>/dev/null || true
cp -a /etc/apt/trusted.gpg.d/. "$root/etc/apt/trusted.gpg.d/" 2>/dev/null || true
cp /etc/resolv.conf /etc/hosts "$root/etc/" 2>/dev/null || true
registry=$(npm config get registry 2>/dev/null) || registry=
authorities=$(npm config get cafile 2>/dev/null) || authorities=
[ -z "$registry" ] || echo "registry=$registry" >"$root/root/.npmrc"
if [ -f "$authorities" ]; then # beside the system's own list, which its package rewrites
    cp -L "$authorities" "$root/etc/authorities.crt"
    echo "cafile=/etc/authorities.crt" >>"$root/root/.npmrc"
fi

for mount in proc sys dev dev/pts dev/shm; do
    mkdir -p "$root/$mount"
    mount --rbind "/$mount" "$root/$mount" 2>/dev/null || mount --bind "/$mount" "$root/$mount"
    mounts+=("$root/$mount")
done

inside() {
    chroot "$root" /usr/bin/env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 \
        ${http_proxy:+http_proxy="$http_proxy"} ${https_proxy:+https_proxy="$https_proxy"} \
        bash -euc "$1"
}

inside 'export DEBIAN_FRONTEND=noninteractive; apt-get update -qq && apt-get install -y -qq --no-install-recommends git make ca-certificates' >/dev/null 2>&1
git clone -q --bare "$top" "$root/srv/tally.git"
inside 'git clone -q /srv/tally.git /root/tally'

echo "check-fresh: make test"
inside 'cd /root/tally && make test'

echo "check-fresh: make run"
inside 'cd /root/tally && exec make run' >"$root/root/run.log" 2>&1 &
demo=$!
for _ in {1..600}; do
    grep -q 'tallyctl --runtime-dir' "$root/root/run.log" && break
    kill -0 "$demo" 2>/dev/null || { cat "$root/root/run.log"; exit 1; }
    sleep 0.1
done
sleep 2
cat "$root/root/run.log"
while read -r line; do
    echo "\$ $line"
    inside "$line" | grep -m 1 -o 'bakery' >/dev/null || { echo "check-fresh: that did not show the programs" >&2; exit 1; }
done < <(grep -E '^ +(curl|/.*tallyctl) ' "$root/root/run.log")

pkill -TERM -P "$demo" -x make 2>/dev/null || kill -TERM "$demo"
for _ in {1..20}; do
    kill -0 "$demo" 2>/dev/null || break
    sleep 0.1
done
if kill -0 "$demo" 2>/dev/null || compgen -G "$root/tmp/tally-run.*" >/dev/null; then
    echo "check-fresh: make run left something behind 2 s after SIGTERM" >&2
    exit 1
fi
demo=
echo "check-fresh: passed"
