#!/bin/sh
# Lists the Python interpreters of this machine that functions could run with:
# one per minor version from 3.8 on, the one of `make deps` first. Unit tests of
# the runner go over all of them.
set -eu
here=$(dirname "$0")
root=${PYENV_ROOT:-$HOME/.pyenv}

candidates() {
  "$here/deps.sh" --python 2>/dev/null || true
  echo python3
  minor=8
  while [ "$minor" -le 20 ]; do
    echo "python3.$minor"
    minor=$((minor + 1))
  done
  for one in "$root"/versions/3.*/bin/python3; do echo "$one"; done
}

seen=" "
for name in $(candidates); do
  path=$(command -v "$name" 2>/dev/null) || continue
  version=$("$path" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || continue
  case "$version" in
  3.[0-7]) continue ;;
  esac
  case "$seen" in
  *" $version "*) continue ;;
  esac
  seen="$seen$version "
  echo "$path"
done
