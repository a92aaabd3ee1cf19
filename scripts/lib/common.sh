# shellcheck shell=bash
# What the scripts share. To be sourced, after `set -euo pipefail`; moves to the repository's root.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$root" || exit

say() { printf '%s\n' "$*" >&2; }
die() { say "${0##*/}: $*"; exit 1; }

# Prints the comment at the top of the script that sources this file: its help.
usage() { sed -n '2,/^[^#]/{/^#/!d;s/^# \{0,1\}//;p}' "$0"; }

have() { command -v "$1" >/dev/null; }

# need PACKAGE [COMMAND ARGUMENT...]: notes the Debian package as missing unless the command succeeds.
# Without a command, the package's name is looked for as a program.
missing=()
need() {
    local package=$1
    shift
    if [ $# -eq 0 ]; then set -- have "$package"; fi
    "$@" >/dev/null 2>&1 || missing+=("$package")
}

# Installs what `need` noted. Services that come with a package (nginx, prometheus) are not started.
install_missing() {
    [ ${#missing[@]} -gt 0 ] || return 0
    have apt-get || die "please install: ${missing[*]} (the names are Debian's)"
    local as_root=()
    if [ "$(id -u)" -ne 0 ]; then
        have sudo || die "not root and no sudo; as root: apt-get install ${missing[*]}"
        as_root=(sudo)
    fi
    say "installing: ${missing[*]}"
    "${as_root[@]}" bash -s -- "${missing[@]}" >&2 <<'ROOT' || die "apt-get could not install: ${missing[*]}"
set -euo pipefail
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod +x "$policy"
    trap 'rm -f "$policy"' EXIT
fi
export DEBIAN_FRONTEND=noninteractive
apt-get -q -o DPkg::Lock::Timeout=300 update
apt-get -q -o DPkg::Lock::Timeout=300 install -y --no-install-recommends "$@"
ROOT
    missing=()
}

# Notes what every build needs, and ends when there is no Swift: no Debian package has the one that is needed.
need_swift() {
    have swift || die "there is no swift on the PATH: install Swift 6.3 for Debian 12 from https://www.swift.org/install/linux/"
    need git
    need ca-certificates test -e /etc/ssl/certs/ca-certificates.crt
    need libc6-dev test -e "/usr/lib/$(uname -m)-linux-gnu/crt1.o"
    need libstdc++-12-dev compgen -G "/usr/lib/gcc/*/*/libstdc++.so"
    need libyaml-dev test -e /usr/include/yaml.h
    need libssl-dev test -e /usr/include/openssl/ssl.h
    need libnghttp2-dev test -e /usr/include/nghttp2/nghttp2.h
    need python3
    need procps have ps
}

# The Python in which the tests in Python run: an environment with the packages of Tests/Integration/requirements.txt, at just these
# versions. Made anew when that list or Debian's Python changes; prints its path.
need_test_python() { need python3-venv base_python -c 'import ensurepip, venv'; }

# Debian's own Python: the packages come as wheels for it, and another on the PATH may be of any age.
base_python() {
    if [ -x /usr/bin/python3 ]; then /usr/bin/python3 "$@"; else python3 "$@"; fi
}

test_python() {
    local list=Tests/Integration/requirements.txt environment=$root/.build/python wanted
    wanted=$({ base_python --version; cat "$list"; } | sha256sum)
    if [ "$(cat "$environment/made-from" 2>/dev/null)" != "$wanted" ]; then
        say "making .build/python from $list"
        mkdir -p "$root/.build"
        base_python -m venv --clear "$environment" >&2 || die "python3 -m venv does not work: install python3-venv"
        "$environment/bin/pip" --disable-pip-version-check install -q -r "$list" >&2 || die "pip could not install $list"
        printf '%s\n' "$wanted" >"$environment/made-from"
    fi
    printf '%s\n' "$environment/bin/python"
}
# Notes what the binary needs where it runs.
need_libraries() {
    need libyaml-0-2 has_library libyaml-0.so.2
    need libssl3 has_library libssl.so.3
    need libnghttp2-14 has_safe_nghttp2
}
# Of Debian 12's, one with the fix of CVE-2026-27135: the library's own version does not tell.
has_safe_nghttp2() {
    has_library libnghttp2.so.14 || return
    local version
    version=$(dpkg-query -W -f '${Version}' libnghttp2-14 2>/dev/null) || return 0
    dpkg --compare-versions "$version" ge 1.52.0-1+deb12u3
}
has_library() { [[ $(PATH=$PATH:/usr/sbin:/sbin ldconfig -p) == *"$1"* ]]; }

# CPU ticks that the processes of a session have used so far.
session_ticks() {
    local pid sum=0
    for pid in $(ps -s "$1" -o pid= 2>/dev/null || true); do
        local -a stat=()
        { read -ra stat <"/proc/$pid/stat"; } 2>/dev/null || continue
        sum=$((sum + ${stat[13]:-0} + ${stat[14]:-0}))
    done
    echo "$sum"
}

# Ends a session that was started here.
end_session() {
    kill -TERM -- "-$1" 2>/dev/null || return 0
    local _
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        kill -0 -- "-$1" 2>/dev/null || return 0
        sleep 0.2
    done
    kill -KILL -- "-$1" 2>/dev/null || true
}

# unstuck SECONDS COMMAND...: runs it for so long at most, and once more when it stood still: a compiler plugin of Swift 6.3 can wait
# for itself for ever. The first attempt counts as standing still after 90 s without any use of the CPU.
unstuck() {
    local limit=$1 attempt session watcher status verdict
    shift
    for attempt in 1 2; do
        setsid -w "$@" </dev/null &
        session=$!
        # shellcheck disable=SC2064
        trap "end_session $session; exit 130" INT TERM
        watch_session "$session" "$limit" "$attempt" &
        watcher=$!
        status=0
        verdict=0
        wait "$session" || status=$?
        kill "$watcher" 2>/dev/null || true
        wait "$watcher" 2>/dev/null || verdict=$?
        trap - INT TERM
        case $verdict in
            3) say "stood still; once more: $*"; status=124 ;;
            4) say "took more than $limit s: $*"; return 124 ;;
            *) return $status ;;
        esac
    done
    return "$status"
}

# Ends the session and returns 3 when it stands still (on the first attempt), 4 when its time is up.
watch_session() {
    local session=$1 limit=$2 attempt=$3 last=-1 now still=0 total=0
    while kill -0 -- "-$session" 2>/dev/null; do
        sleep 5
        total=$((total + 5))
        now=$(session_ticks "$session")
        if [ "$now" = "$last" ]; then still=$((still + 5)); else still=0; fi
        last=$now
        if [ "$attempt" = 1 ] && [ $still -ge 90 ]; then end_session "$session"; return 3; fi
        if [ $total -ge "$limit" ]; then end_session "$session"; return 4; fi
    done
}
