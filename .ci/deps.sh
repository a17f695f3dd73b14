#!/bin/sh
# Installs what faasctl needs and this machine lacks, one line per thing. `make deps` calls it.
# What is there already is left alone, so a second run changes nothing.
#
#   .ci/deps.sh            look, install, look again
#   .ci/deps.sh --python   print the interpreter that faasctl will use, nothing else
#
# Needed: Go and a C compiler (to build), libzmq with headers, redis-server 6.2, and a Python 3.8 with dill. Wanted, where
# the package manager has them: bubblewrap (--sandbox bwrap), tmux and iproute2 (tests skip, loudly, without them). dill goes into a virtual environment of our own, so that nothing of yours is touched:
# $XDG_DATA_HOME/faasctl/python (~/.local/share), or /opt/faasctl/python for root, where other users can read it.
set -eu
umask 022
unset PYTHONHOME PYTHONPATH PIP_USER PIP_TARGET PIP_PREFIX || true
cd "$(dirname "$0")/.."

REDIS_MIN=6.2
PYTHON_MIN=3.8
uid=$(id -u)
log=
policy=

say() { printf '  %-8s %s\n' "$1" "$2"; }
die() { printf '  %-8s %s\n' FAILED "$1" >&2; exit 1; }
cleanup() {
  [ -z "$policy" ] || as_root rm -f "$policy"
  [ -z "$log" ] || rm -f "$log"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# at_least HAVE WANT: dotted versions, compared number by number.
at_least() {
  awk -v have="$1" -v want="$2" 'BEGIN {
    split(have, h, "."); n = split(want, w, ".")
    for (i = 1; i <= n; i++) { if (h[i]+0 > w[i]+0) exit 0; if (h[i]+0 < w[i]+0) exit 1 }
  }'
}

as_root() {
  if [ "$uid" = 0 ]; then "$@"
  elif command -v sudo >/dev/null 2>&1; then sudo "$@"
  elif command -v doas >/dev/null 2>&1; then doas "$@"
  else return 1
  fi
}

# --- the package manager -----------------------------------------------------------------------------------------------

manager=
for m in apt-get dnf yum zypper pacman apk brew; do
  if command -v "$m" >/dev/null 2>&1; then manager=$m; break; fi
done

# package THING: what the package manager calls it; nothing where it has no such package.
package() {
  case $1:$manager in
    cc:apt-get) echo gcc libc6-dev ;;
    cc:apk) echo gcc musl-dev ;;
    cc:brew) ;;
    cc:*) echo gcc ;;
    pkgconfig:apt-get | pkgconfig:zypper) echo pkg-config ;;
    pkgconfig:dnf | pkgconfig:yum) echo pkgconf-pkg-config ;;
    pkgconfig:*) echo pkgconf ;;
    zmq:apt-get) echo libzmq3-dev ;;
    zmq:dnf | zmq:yum | zmq:zypper) echo zeromq-devel ;;
    zmq:apk) echo zeromq-dev ;;
    zmq:*) echo zeromq ;;
    redis:apt-get) echo redis-server ;;
    redis:pacman) echo valkey ;;
    redis:*) echo redis ;;
    tmux:*) echo tmux ;;
    bwrap:brew | ip:brew) ;; # they are of Linux
    bwrap:*) echo bubblewrap ;;
    ip:dnf | ip:yum) echo iproute ;;
    ip:*) echo iproute2 ;;
    python:pacman | python:brew) echo python ;;
    python:*) echo python3 ;;
    venv:apt-get) echo python3-venv ;;
    dill:pacman) echo python-dill ;;
    dill:apk) echo py3-dill ;;
    dill:apt-get | dill:dnf | dill:yum | dill:zypper) echo python3-dill ;;
  esac
}

# quietly COMMAND...: keeps the output for the case that it fails.
quietly() {
  [ -n "$log" ] || log=$(mktemp)
  "$@" >"$log" 2>&1 </dev/null
}

# install PACKAGE...: returns non-zero, with the end of the output shown, when the package manager fails.
install() {
  [ "$manager" = brew ] || as_root true || die "root is needed to install $* with $manager: run make deps as root, or install them by hand"
  say install "$* ($manager)"
  case $manager in
    apt-get)
      hold_services
      quietly as_root apt-get -o DPkg::Lock::Timeout=120 update -qq || say note "apt-get update failed; going on with the lists at hand"
      set -- as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=120 install -y -qq --no-install-recommends "$@" ;;
    dnf | yum) set -- as_root "$manager" install -y -q "$@" ;;
    zypper) set -- as_root zypper --non-interactive --quiet install "$@" ;;
    pacman) set -- as_root pacman -Sy --noconfirm --needed "$@" ;;
    apk) set -- as_root apk add --no-cache -q "$@" ;;
    brew) set -- brew install -q "$@" ;;
  esac
  quietly "$@" || { tail -n 15 "$log" >&2; return 1; }
}

# hold_services keeps Debian from starting a Redis on port 6379: faasctl starts its own, on a private socket.
hold_services() {
  [ -e /usr/sbin/policy-rc.d ] && return
  policy=/usr/sbin/policy-rc.d
  # shellcheck disable=SC2016
  as_root sh -c 'printf "#!/bin/sh\nexit 101\n" >"$1" && chmod 755 "$1"' - "$policy"
}

# --- what is here: each has_* prints what it found, or fails -----------------------------------------------------------

has_cc() {
  for cc in "${CC:-cc}" gcc clang; do
    # CC may carry flags: its first word is the program.
    if command -v "${cc%% *}" >/dev/null 2>&1; then echo "C compiler ${cc%% *}"; return; fi
  done
  return 1
}
has_pkgconfig() { v=$(pkg-config --version 2>/dev/null) && echo "pkg-config $v"; }
has_zmq() { v=$(pkg-config --modversion libzmq 2>/dev/null) && echo "libzmq $v, with headers"; }
has_tmux() { v=$(tmux -V 2>/dev/null) && echo "$v"; }
has_bwrap() { v=$(bwrap --version 2>/dev/null) && echo "$v"; }
has_ip() { v=$(PATH=$PATH:/sbin:/usr/sbin ip -V 2>/dev/null) && echo "$v"; }
has_redis() {
  v=$(redis-server --version 2>/dev/null | sed -n 's/.* v=\([0-9.]*\).*/\1/p')
  [ -n "$v" ] && at_least "$v" "$REDIS_MIN" && echo "redis-server $v"
}
has_python() { p=$(base_python) && echo "$p"; }
has_dill() {
  v=$("$venv/bin/python3" -I -c "$PROBE_DILL" "$uid" 2>/dev/null) && echo "$v in $venv"
}

check_go() {
  want=$(sed -n 's/^go //p' go.mod)
  how="Go $want or newer is needed: https://go.dev/dl/"
  command -v go >/dev/null 2>&1 || die "$how (no go on PATH)"
  # Asked inside the module, a Go since 1.21 fetches the right toolchain by itself where it may.
  v=$(go env GOVERSION 2>/dev/null || (cd / && GOTOOLCHAIN=local go env GOVERSION))
  v=$(printf '%s' "$v" | sed 's/.*go\([0-9][0-9.]*\).*/\1/')
  at_least "$v" "$want" || die "$how (this is $v)"
  say ok "Go $v"
}

# --- Python ------------------------------------------------------------------------------------------------------------

if [ "$uid" = 0 ]; then
  venv=/opt/faasctl/python
else
  case ${XDG_DATA_HOME:-} in
    /*) venv=$XDG_DATA_HOME/faasctl/python ;;
    *) venv=${HOME:?HOME is not set}/.local/share/faasctl/python ;;
  esac
fi

# Both probes fail for root on an interpreter that other users cannot reach (one under /root, say): workers may run as them.
PROBE_COMMON='
import os, sys
def public(path):
    path = os.path.realpath(path)
    while os.stat(path).st_mode & 1:
        if path == "/":
            return True
        path = os.path.dirname(path)
    return False
exe = os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable)
if sys.argv[1] == "0" and not (public(exe) and public(os.path.dirname(os.__file__))):
    sys.exit(1)
'
PROBE_BASE="$PROBE_COMMON
if sys.version_info < ($(echo "$PYTHON_MIN" | tr . ,)):
    sys.exit(1)
print(exe)"
PROBE_DILL="$PROBE_COMMON
import dill
print('dill %s for Python %d.%d.%d' % ((dill.__version__,) + sys.version_info[:3]))"

# base_python prints the interpreter to build the environment from: for root the system's, else the user's own.
base_python() {
  if [ "$uid" = 0 ]; then
    set -- /usr/bin/python3 /usr/local/bin/python3 python3
  else
    set -- python3 /usr/bin/python3 /usr/local/bin/python3
  fi
  for candidate in "$@"; do
    "$candidate" -I -c "$PROBE_BASE" "$uid" 2>/dev/null && return
  done
  return 1
}

has_ensurepip() { "$1" -I -c 'import ensurepip, venv' 2>/dev/null; }

make_environment() {
  base=$(base_python) || die "no Python $PYTHON_MIN or newer that other users may run: install python3 and try again"
  say make "$venv (a virtual environment of $base, with dill)"
  mkdir -p "$(dirname "$venv")"
  if has_ensurepip "$base" && quietly "$base" -I -m venv --clear "$venv" &&
    quietly "$venv/bin/python3" -I -m pip install --quiet --no-input --disable-pip-version-check --timeout 20 --retries 2 dill; then
    return
  fi
  say note "pip could not install dill: taking the system's package"
  dill_importer "$base" >/dev/null || {
    dill=$(package dill)
    [ -n "$dill" ] || die "dill: pip failed and no system package is known here. Make the package index reachable and try again"
    # shellcheck disable=SC2086
    install $dill || die "dill: neither pip nor $manager could install it"
  }
  base=$(dill_importer "$base") || die "dill: $manager installed it for a Python that is not here"
  quietly "$base" -m venv --clear --without-pip --system-site-packages "$venv" || {
    cat "$log" >&2
    die "cannot make $venv"
  }
}

# dill_importer BASE prints the first of BASE and the system's interpreter that has dill already.
dill_importer() {
  for candidate in "$1" /usr/bin/python3; do
    "$candidate" -I -c "$PROBE_DILL" "$uid" >/dev/null 2>&1 && echo "$candidate" && return
  done
  return 1
}

# --- the work ----------------------------------------------------------------------------------------------------------

if [ "${1:-}" = --python ]; then
  if has_dill >/dev/null; then echo "$venv/bin/python3"; else base_python; fi
  exit
fi

check_go

things="cc pkgconfig zmq redis python"
wanted="tmux bwrap ip"
missing=
packages=
extras=
for thing in $things $wanted; do
  if found=$("has_$thing"); then
    [ "$thing" = python ] || say ok "$found"
    continue
  fi
  case " $wanted " in
    *" $thing "*) extras="$extras $thing" ;;
    *)
      missing="$missing $thing"
      packages="$packages $(package "$thing")" ;;
  esac
done
if ! has_dill >/dev/null; then
  base=$(base_python || true)
  case ${base:-/usr/bin/} in
    /usr/bin/*) [ -n "$base" ] && has_ensurepip "$base" || packages="$packages $(package venv)" ;;
  esac
fi

# shellcheck disable=SC2086
set -- $packages
if [ -n "$missing" ] || [ $# -gt 0 ]; then
  [ -n "$manager" ] || die "missing:$missing. No package manager that this script knows is here: install them by hand and try again"
  had_redis=$(command -v redis-server || true)
  if [ $# -gt 0 ]; then
    case $manager in
      dnf | yum) hint=" (Red Hat and its kin have zeromq and redis in EPEL)" ;;
      *) hint= ;;
    esac
    install "$@" || die "$manager could not install $*$hint"
  fi
  if [ -z "$had_redis" ] && [ "$manager" = apt-get ] && command -v systemctl >/dev/null 2>&1; then
    quietly as_root systemctl disable redis-server.service || true # nor at the next boot
  fi
  for thing in $missing; do
    found=$("has_$thing") || case $thing in
      redis) die "redis-server $REDIS_MIN or newer is needed; $manager has $(redis-server --version 2>/dev/null | sed -n 's/.* v=\([0-9.]*\).*/\1/p' | grep . || echo none)" ;;
      cc) die "no C compiler: install one (on macOS: xcode-select --install)" ;;
      *) die "$thing is still missing after installing: $(package "$thing")" ;;
    esac
    say ok "$found"
  done
fi

# What is only wanted stops nobody: not for want of root, and where one cannot be had, the others are tried alone.
packages=
for thing in $extras; do packages="$packages $(package "$thing")"; done
# shellcheck disable=SC2086
set -- $packages
if [ $# -gt 0 ] && [ -n "$manager" ] && { [ "$manager" = brew ] || as_root true; }; then
  install "$@" || for package in "$@"; do install "$package" || true; done
fi
for thing in $extras; do
  if found=$("has_$thing"); then say ok "$found"
  else say note "no $thing: what needs it is skipped by the tests, and said so"
  fi
done

has_dill >/dev/null || make_environment
found=$(has_dill) || die "$venv does not import dill: remove it and try again"
say ok "$found"
