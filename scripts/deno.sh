#!/bin/sh
# Prints the path of a Deno of one exact version, installing it from the npm package `deno` into .tools when it is not there yet.
# Use: scripts/deno.sh VERSION            (DROVER_TOOLS moves the folder; npm's own cache spares the second download)
set -eu
version=${1:?"usage: scripts/deno.sh VERSION"}
root=$(cd "$(dirname "$0")/.." && pwd)
dir=${DROVER_TOOLS:-$root/.tools}/deno-$version
# SHA-256 of the executable, by version and platform: what is installed is checked against it. A platform that is not
# listed rests on npm's own integrity check of the package.
case $version-$(uname -s)-$(uname -m) in
  2.9.6-Linux-x86_64) want=bceb5b6a6239b0b010418406d8c77a508f67cf4337d94288f1c19fe71304aab0 ;;
  2.8.3-Linux-x86_64) want=fad410f13100362ebe95b6cb3d72305d8bc2e5cc8a11685bc19a9b15c0334d02 ;;
  2.6.8-Linux-x86_64) want=8b254e08be2565f608a06bfde3f62f3aabbf8994712f0078c7a7f24bc8c46676 ;;
  *) want= ;;
esac
sha256() { if command -v sha256sum >/dev/null 2>&1; then sha256sum "$1"; else shasum -a 256 "$1"; fi | cut -d' ' -f1; }
if [ -x "$dir/deno" ]; then echo "$dir/deno"; exit 0; fi
if ! command -v npm >/dev/null 2>&1; then
  cat >&2 <<TEXT
drover needs Deno $version to build and test itself, and there is neither a suitable deno nor npm on PATH.
Install one of them and run the command again:
  Deno:  see https://docs.deno.com/runtime/getting_started/installation/ (version 2.9.6 or a newer 2.x)
  npm:   comes with Node.js, https://nodejs.org/ (the Makefile then installs Deno by itself)
TEXT
  exit 1
fi
echo "installing deno $version from npm into ${dir#"$root"/}" >&2
mkdir -p "${dir%/*}"
tmp=$(mktemp -d "$dir.XXXXXX")
trap 'rm -rf "$tmp"' EXIT
printf '{"private":true}\n' >"$tmp/package.json"
npm_config_update_notifier=false npm install --prefix "$tmp" --no-save --no-package-lock --ignore-scripts --prefer-offline --no-audit --no-fund --loglevel=error "deno@$version" >&2
set -- "$tmp"/node_modules/@deno/*/deno
[ -f "$1" ] || { echo "deno $version has no executable for $(uname -sm) in its npm package; install Deno by hand" >&2; exit 1; }
if [ -n "$want" ] && [ "$(sha256 "$1")" != "$want" ]; then
  echo "deno $version from npm has another SHA-256 than the pinned $want: not installed" >&2
  exit 1
fi
mkdir "$tmp/out" && mv "$1" "$tmp/out/deno" && chmod 755 "$tmp/out/deno"
# Two runs at once: the first rename wins and both use the same bytes.
mv -T "$tmp/out" "$dir" 2>/dev/null || mv "$tmp/out" "$dir" 2>/dev/null || [ -x "$dir/deno" ]
echo "$dir/deno"
