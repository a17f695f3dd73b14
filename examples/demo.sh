#!/bin/sh
# What `make demo` runs: a whole stack on a free port and in a temporary directory, beside whatever you run yourself.
set -eu
cd "$(dirname "$0")/.."
faasctl=$PWD/bin/faasctl
python=$(.ci/deps.sh --python)
unset FAASCTL_DATA FAASCTL_REDIS FAASCTL_TOKEN_FILE || true

dir=$(mktemp -d "${TMPDIR:-/tmp}/faasctl-demo.XXXXXX")
stack=
stop() {
  if [ -n "$stack" ] && kill "$stack" 2>/dev/null; then wait "$stack" || true; fi
  stack=
  rm -rf "$dir"
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

bold=""
plain=""
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ] && [ "${TERM:-dumb}" != dumb ]; then
  bold=$(printf '\033[1m') plain=$(printf '\033[0m')
fi
say() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }
# show VERB…: prints the command as one would type it, and runs it.
show() {
  typed=faasctl
  for word in "$@"; do
    case $word in
      *[!A-Za-z0-9_./:@=-]*) typed="$typed '$word'" ;;
      *) typed="$typed $word" ;;
    esac
  done
  say "\$ $typed"
  "$faasctl" "$@"
}

port=$("$python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
export FAASCTL_URL="http://127.0.0.1:$port"

say "\$ faasctl up -w 2 --listen 127.0.0.1:$port --data $dir/data"
"$faasctl" up -w 2 --listen "127.0.0.1:$port" --data "$dir/data" >"$dir/up.log" 2>&1 </dev/null &
stack=$!

ready() {
  "$python" - "$FAASCTL_URL/readyz" 2>/dev/null <<'PY'
import sys, urllib.request
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
opener.open(sys.argv[1], timeout=2).close()
PY
}
tries=0
until ready; do
  tries=$((tries + 1))
  if ! kill -0 "$stack" 2>/dev/null || [ "$tries" -ge 150 ]; then
    echo "demo: the stack did not become ready; it said:" >&2
    cat "$dir/up.log" >&2
    exit 1
  fi
  sleep 0.2
done
cat "$dir/up.log"

show register examples/pi.py
show run pi --args '[1000000, 7]'
show run examples/wordcount.py --args @examples/data/harbour.json

say "# this one fails on purpose"
code=0
show run examples/fails.py || code=$?
[ "$code" = 1 ] || { echo "demo: a function that raises should exit 1, this was $code" >&2; exit 1; }

show top --once

stop
say "That was a whole stack, now stopped and removed. Your own:"
cat <<'NEXT'
  bin/faasctl up -w 2                                             # in one terminal; Ctrl-C stops it
  bin/faasctl run examples/image.py > edges.json                  # in another
  bin/faasctl top                                                 # watch it
NEXT
