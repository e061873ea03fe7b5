#!/bin/sh
# Prints the path of the Deno that builds and tests drover: the one on PATH when it is 2.9.6 or a newer 2.x, else 2.9.6 from npm.
set -eu
if found=$(command -v deno 2>/dev/null); then
  # shellcheck disable=SC2046
  set -- $("$found" --version 2>/dev/null | sed -n 's/^deno \([0-9][0-9]*\)\.\([0-9][0-9]*\)\.\([0-9][0-9]*\).*/\1 \2 \3/p')
  if [ "${1:-0}" -eq 2 ] && { [ "$2" -gt 9 ] || { [ "$2" -eq 9 ] && [ "$3" -ge 6 ]; }; }; then
    echo "$found"
    exit 0
  fi
fi
exec sh "$(dirname "$0")/deno.sh" 2.9.6
