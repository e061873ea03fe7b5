#!/bin/sh
# Installs drover for one user, or removes it: downloads a release, verifies it, and only then puts it in place.
# POSIX sh and usual tools. Everything is in functions and the last line calls them: half of this file does nothing.
# shellcheck disable=SC2015,SC2317 # "a && b || fail" ends where it fails; some functions are called by name or by a signal

# The release script fills this in: the accepted public keys (Ed25519, 32 bytes in base64, two at most) and the address.
# release: begin
RELEASE_KEYS=''
RELEASE_URL=''
# release: end

# The runtime inside the program needs this much of Linux's C library.
MIN_GLIBC=2.27
MAX_ARCHIVE_MB=256
MAX_PROGRAM_MB=512
LOCK_SECONDS=600
PREFLIGHT_SECONDS=20
SHELL_MARK='# added by the drover installer'

usage() {
  cat <<'TEXT'
Installs drover for this user. Nothing is started, no service is made, and no shell file is touched unless asked for.

  install.sh [options]            or:  curl -fsSL URL | sh -s -- [options]

  --version X       this version, also an older one than is installed; without it the newest
  --dir DIR         where to install (DROVER_INSTALL_DIR; default ~/.local/share/drover)
  --bin-dir DIR     where the command drover is linked (DROVER_BIN_DIR; default ~/.local/bin)
  --from URL        where releases are (DROVER_RELEASES_URL)
  --modify-path     add that directory to PATH in your shell's file, if it is not in PATH
  --checksum-only   go on where no signature can be verified; a wrong signature is refused all the same
  --uninstall       remove what was installed, not your tasks and settings
  --help            this text

DROVER_INSTALL_STALL=30: seconds without a byte after which a download is tried again.
TEXT
}

main() {
  set -u
  umask 022
  base=${DROVER_RELEASES_URL:-$RELEASE_URL} wanted='' root=${DROVER_INSTALL_DIR:-} bin=${DROVER_BIN_DIR:-}
  modify_path='' checksum_only='' uninstall='' doing=installing
  stall=${DROVER_INSTALL_STALL:-30}
  data=${DROVER_HOME:-${HOME:-}/.drover}
  child='' stage='' turn='' locks='' made_root='' shell_file='' signer=''
  while [ $# -gt 0 ]; do
    case $1 in
      --version | --dir | --bin-dir | --from)
        [ $# -ge 2 ] && [ -n "$2" ] || misused "$1 needs a value"
        case $1 in
          --version) wanted=${2#v} ;;
          --dir) root=$2 ;;
          --bin-dir) bin=$2 ;;
          --from) base=$2 ;;
        esac
        shift
        ;;
      --modify-path) modify_path=yes ;;
      --checksum-only) checksum_only=yes ;;
      --uninstall) uninstall=yes ;;
      --help | -h) usage && exit 0 ;;
      *) misused "there is no option $1" ;;
    esac
    shift
  done
  need uname mkdir mv rm rmdir ln readlink chmod cat cp date grep sed awk tar gzip head tail sleep sync wc
  find_places
  trap 'leave $?' EXIT
  trap 'leave 129' HUP
  trap 'leave 130' INT
  trap 'leave 143' TERM
  if [ -n "$uninstall" ]; then
    doing=uninstalling
    remove_installation
  else
    install_release
  fi
  exit 0
}

install_release() {
  find_target
  find_downloader
  find_hasher
  check_base
  look_at_link
  [ -z "$wanted" ] || check_version "$wanted"
  open_root
  stage=$root/staging/install.$$
  rm -rf "$root"/staging/install.*
  mkdir -p "$stage" || fail "cannot write into $root"
  chmod 700 "$root/staging" "$stage"
  find_version
  archive=drover-$version-$target.tar.gz

  say "drover $version for $target"
  fetch "$base/download/v$version/SHA256SUMS" "$stage/SHA256SUMS" 1 || fail "could not download the checksums of drover $version from $base" 'is there such a version?'
  sum=$(awk -v name="$archive" '$2 == name || $2 == "*" name { print $1 }' "$stage/SHA256SUMS")
  is_sum "$sum" || fail "the release $version has no good checksum of $archive" "it may not have been made for $target"
  check_signatures
  if is_installed; then
    place_link
    write_record
    finish "drover $version is installed already; nothing was downloaded."
    return
  fi
  fetch "$base/download/v$version/$archive" "$stage/$archive" "$MAX_ARCHIVE_MB" || fail "could not download $archive" 'what is installed was left as it was; run this again'
  [ "$(sha256 "$stage/$archive")" = "$sum" ] || fail "$archive is not what its checksum says" 'it was damaged or replaced on its way; nothing of it was used. Run this again, and tell us if it stays so'
  unpack
  check_program
  put_in_place
  place_link
  write_record
  finish "drover $version is installed."
}

find_version() {
  version=$wanted
  if [ -z "$version" ]; then
    fetch "$base/latest/download/VERSION" "$stage/VERSION" 1 || fail "could not learn the newest version from $base" 'check the address and the network, or name one: --version X'
    version=$(head -n 1 "$stage/VERSION" | head -c 100)
    check_version "$version"
    refuse_older
  fi
}

check_version() {
  case $1 in
    *[!0-9A-Za-z.+-]* | *..* | *- | *.) fail "'$1' is not a version" ;;
    [0-9]*.[0-9]*.[0-9]*) ;;
    *) fail "'$1' is not a version" ;;
  esac
}

# ---- where, and for which machine

find_places() {
  home=${HOME:-}
  case $home in
    /*) ;;
    *) [ -n "$root" ] && [ -n "$bin" ] || fail 'HOME is not set to an absolute path' 'set it, or use --dir and --bin-dir' ;;
  esac
  [ -n "$root" ] || root=$home/.local/share/drover
  [ -n "$bin" ] || bin=$home/.local/bin
  while case $root in ?*/) true ;; *) false ;; esac do root=${root%/}; done
  while case $bin in ?*/) true ;; *) false ;; esac do bin=${bin%/}; done
  for place in "$root" "$bin"; do
    case $place in
      /*) ;;
      *) fail "$place is not an absolute path" ;;
    esac
    case $place in
      *[[:cntrl:]]*) fail 'a directory has a control character in its name' 'name another with --dir or --bin-dir' ;;
    esac
  done
  case $root in
    / | "$home") fail "$root cannot be used for drover alone" 'name a directory of its own with --dir' ;;
  esac
  link=$bin/drover
  locks=$root/install.lock.d
}

find_target() {
  system=$(uname -s) machine=$(uname -m)
  case $system in
    Linux) os=linux ;;
    Darwin) os=macos ;;
    *) fail "drover does not run on $system" 'it runs on Linux and macOS; on Windows use WSL' ;;
  esac
  case $machine in
    x86_64 | amd64) cpu=x86_64 ;;
    aarch64 | arm64) cpu=aarch64 ;;
    *) fail "there is no drover for the processor $machine" 'it is made for x86_64 and aarch64' ;;
  esac
  # A shell that macOS translates sees the processor it is translated for.
  if [ "$os" = macos ] && [ "$(sysctl -n sysctl.proc_translated 2>/dev/null)" = 1 ]; then cpu=aarch64; fi
  [ "$os" = macos ] || check_libc
  target=$os-$cpu
}

check_libc() {
  if [ "$(getconf LONG_BIT 2>/dev/null)" = 32 ]; then
    fail 'this is a 32-bit system' 'drover is made for 64-bit ones'
  fi
  libc=$(getconf GNU_LIBC_VERSION 2>/dev/null) || libc=''
  if [ -z "$libc" ]; then
    said=$(ldd --version 2>&1 | head -n 2)
    case $said in
      *musl*) fail "this system's C library is musl, and drover needs glibc $MIN_GLIBC or newer" 'use a distribution with glibc, such as Debian, for instance in a container' ;;
      *GLIBC* | *GNU*) libc="glibc $(printf '%s\n' "$said" | awk 'NR == 1 { print $NF }')" ;;
      *) fail "cannot tell this system's C library, and drover needs glibc $MIN_GLIBC or newer" 'is getconf or ldd installed?' ;;
    esac
  fi
  newer_or_same "${libc#glibc }" "$MIN_GLIBC" || fail "this system has $libc, and drover needs $MIN_GLIBC or newer" 'use a newer release of the distribution'
}

# By major and minor alone.
newer_or_same() {
  awk -v have="$1" -v need="$2" 'BEGIN { split(have, h, "."); split(need, n, "."); exit !(h[1] + 0 > n[1] + 0 || h[1] + 0 == n[1] + 0 && h[2] + 0 >= n[2] + 0) }' </dev/null
}

find_downloader() {
  if has curl; then
    downloader=curl
  elif has wget; then
    downloader=wget
    # That of BusyBox has other options, and in some builds ends at once when it is given a time limit.
    if wget --version 2>/dev/null | head -n 1 | grep -q GNU; then downloader=gnu_wget; fi
  else
    fail 'neither curl nor wget is installed' 'install one of them'
  fi
}

find_hasher() {
  for hasher in sha256sum shasum openssl ''; do
    if [ -z "$hasher" ]; then fail 'no tool that computes SHA-256 is installed' 'install sha256sum, shasum or openssl'; fi
    if has "$hasher"; then break; fi
  done
}

check_base() {
  while case $base in ?*/) true ;; *) false ;; esac do base=${base%/}; done
  case $base in
    '') fail 'this installer does not know where releases are' 'say it with --from URL' ;;
    *[!0-9A-Za-z:/._~%+-]*)
      case $base in
        http://\[::1\]:*) ;;
        *) fail "cannot use the address $base" ;;
      esac
      ;;
  esac
  case $base in
    https://?*) schemes='=https' ;;
    http://127.0.0.1 | http://127.0.0.1[:/]* | http://localhost | http://localhost[:/]* | http://\[::1\]*) schemes='=http,https' ;;
    http://*) fail "$base is not encrypted: others could choose which version you get" 'use https' ;;
    *) fail "cannot use the address $base" 'it must begin with https://' ;;
  esac
}

# ---- one at a time

# The rule is in lib/core/installation.ts: a link for each turn; the highest number counts; who finds it done or its owner
# dead may make the next one, which succeeds for one alone.
open_root() {
  [ -d "$root" ] || made_root=yes
  waited=0 refused=0
  while :; do
    # Each time: one that fails takes away what it made.
    mkdir -p "$root/releases" "$locks" || fail "cannot make $root" 'choose another directory with --dir'
    latest=$(latest_turn)
    holder=''
    if [ "$latest" -gt 0 ] && [ ! -L "$locks/$latest.done" ]; then
      holder=$(readlink "$locks/$latest")
      lives "$holder" || holder=''
    fi
    if [ -z "$holder" ]; then
      next=$((latest + 1))
      if ln -s "$$-$(ticks_of "$$")" "$locks/$next" 2>/dev/null; then
        if [ "$(latest_turn)" = "$next" ]; then break; fi
        rm -f "$locks/$next"
      elif [ -d "$locks" ] && [ ! -L "$locks/$next" ]; then
        refused=$((refused + 1))
        [ "$refused" -lt 5 ] || fail "cannot write into $locks"
      fi
      continue
    fi
    [ "$waited" -gt 0 ] || say "process ${holder%%-*} is installing drover in $root; waiting for it"
    [ "$waited" -lt "$LOCK_SECONDS" ] || fail "process ${holder%%-*} has been installing drover for $LOCK_SECONDS s" "if it is no installer, remove $locks"
    sleep 1
    waited=$((waited + 1))
  done
  turn=$next
  for entry in "$locks"/*; do
    number=${entry##*/}
    number=${number%.done}
    if is_number "$number" && [ "$number" -lt "$turn" ]; then rm -f "$entry"; fi
  done
}

latest_turn() {
  highest=0
  for entry in "$locks"/*; do
    number=${entry##*/}
    if is_number "$number" && [ "$number" -gt "$highest" ]; then highest=$number; fi
  done
  echo "$highest"
}

is_number() {
  case $1 in
    '' | 0* | *[!0-9]*) false ;;
    *) true ;;
  esac
}

# What tells a process from others with its pid: when it started, where /proc says so; 0 elsewhere; nothing for a dead one.
ticks_of() {
  if [ -r /proc/self/stat ]; then
    said=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
    said=${said##*) }
    case $said in Z*) return 1 ;; esac
    echo "$said" | awk '{ print $20 }'
  elif kill -0 "$1" 2>/dev/null || ps -p "$1" >/dev/null 2>&1; then
    echo 0
  else
    return 1
  fi
}

lives() {
  is_number "${1%%-*}" || return 1
  now=$(ticks_of "${1%%-*}") || return 1
  [ "$now" = "${1#*-}" ] || [ "${1#*-}" = 0 ]
}

# ---- what is there

recorded() {
  [ -f "$root/install.json" ] || return 0
  sed -n 's/^  "'"$1"'": "\(.*\)",\{0,1\}$/\1/p' "$root/install.json" | head -n 1 | sed 's/\\\(["\\]\)/\1/g'
}

current_release() {
  at=$(readlink "$root/current" 2>/dev/null) || return 0
  case $at in
    releases/*/* | releases/ | releases/.*) ;;
    releases/*) echo "${at#releases/}" ;;
  esac
}

# Whether exactly this archive's program is what runs, undamaged.
is_installed() {
  [ "$(recorded version)" = "$version" ] && [ "$(recorded archive)" = "$sum" ] || return 1
  digest=$(recorded digest)
  is_sum "$digest" || return 1
  name=$version-$(first_digits "$digest")
  [ "$(current_release)" = "$name" ] && [ -x "$root/current/drover" ] && [ "$(sha256 "$root/current/drover")" = "$digest" ]
}

# Whoever answers for the newest version may not take a machine back to an old one.
refuse_older() {
  before=$(recorded version)
  if [ -z "$before" ] || [ "$before" = "$version" ]; then return; fi
  awk -v old="$before" -v new="$version" 'BEGIN {
    sub(/\+.*/, "", old); sub(/\+.*/, "", new)
    split(old, o, /[.-]/); split(new, n, /[.-]/)
    for (i = 1; i <= 3; i++) if (o[i] + 0 != n[i] + 0) exit !(n[i] + 0 < o[i] + 0)
    exit !(old !~ /-/ && new ~ /-/)
  }' </dev/null || return 0
  fail "the newest release is said to be $version, which is older than $before here" "if that is what you want: --version $version"
}

look_at_link() {
  if [ -L "$link" ]; then
    leads=$(readlink "$link")
    case $leads in
      "$root/current/drover") return ;;
      */current/drover)
        other=${leads%/current/drover}
        if [ -f "$other/install.json" ] || [ ! -e "$leads" ]; then
          [ ! -e "$leads" ] || say "$link led to the drover in $other; it will lead to $root"
          return
        fi
        ;;
    esac
    fail "$link is a link to $leads, which this installer did not make" 'remove it, or choose another directory with --bin-dir'
  fi
  [ ! -e "$link" ] || fail "$link is there already, and this installer did not make it" 'move it away, or choose another directory with --bin-dir'
}

# ---- downloading

# An address, a file, and how many MB it may have. Three tries; a failed one leaves nothing.
fetch() {
  tries=1
  while :; do
    rm -f "$2"
    attend limited "$3" "$1" "$2" && return 0
    rm -f "$2"
    [ "$tries" -lt 3 ] || return 1
    say "downloading ${1##*/} failed; trying again"
    sleep 1
    tries=$((tries + 1))
  done
}

# Runs in a process of its own, whose files are limited.
limited() {
  ulimit -f $(($1 * 2048))
  case $downloader in
    curl)
      progress=-sS
      if [ -t 2 ] && [ "$1" -gt 1 ]; then progress='-# -S'; fi
      # shellcheck disable=SC2086 # options, not a name
      exec curl $progress -fL --proto "$schemes" --proto-redir "$schemes" --max-redirs 5 --connect-timeout "$stall" \
        --speed-limit 1 --speed-time "$stall" --max-time 900 -o "$3" "$2"
      ;;
    gnu_wget) exec wget -q --tries=1 --max-redirect=5 --timeout="$stall" -O "$3" "$2" ;;
    wget) exec wget -q -O "$3" "$2" ;;
  esac
}

# Runs a command so that a signal to this script ends that too, and at once.
attend() {
  "$@" </dev/null &
  child=$!
  if [ "$1" = limited ] && [ "$downloader" = wget ]; then end_when_still "$4"; fi
  wait "$child"
  code=$?
  child=''
  return "$code"
}

# For a downloader without a limit of its own: ends it when the file has not grown for a while.
end_when_still() {
  size='' still=0
  while kill -0 "$child" 2>/dev/null; do
    nap
    was=$size
    size=$(wc -c <"$1" 2>/dev/null)
    if [ "$size" = "$was" ]; then still=$((still + 1)); else still=0; fi
    if [ "$still" -gt $((stall * 10)) ]; then
      kill "$child" 2>/dev/null
      return
    fi
  done
}

# A tenth of a second, where sleep knows that.
nap() {
  sleep 0.1 2>/dev/null || sleep 1
}

# ---- verifying

sha256() {
  case $hasher in
    sha256sum) sha256sum <"$1" ;;
    shasum) shasum -a 256 <"$1" ;;
    openssl) openssl dgst -sha256 -r <"$1" ;;
  esac | awk '{ print $1 }'
}

is_sum() {
  case $1 in
    *[!0-9a-f]*) false ;;
    *) [ ${#1} -eq 64 ] ;;
  esac
}

first_digits() {
  printf '%s' "$1" | head -c 12
}

# A signature is over the version, the target and the checksum, so that no other release's passes for this one's.
check_signatures() {
  printf 'drover-release-v1\n%s\n%s\n%s\n' "$version" "$target" "$sum" >"$stage/signed" || fail "cannot write into $stage"
  if [ -z "$RELEASE_KEYS" ]; then
    unsigned 'this installer has no release key built in'
    return
  fi
  if ! find_verifier; then
    unsigned 'no tool here can verify an Ed25519 signature (openssl 3, or perl with Math::BigInt)'
    return
  fi
  fetch "$base/download/v$version/SIGNATURES" "$stage/SIGNATURES" 1 || fail "could not download the signatures of drover $version" 'nothing was installed'
  while read -r key signature name rest; do
    [ "$name" = "$archive" ] && [ -z "$rest" ] || continue
    case $key in *[!0-9a-f]*) continue ;; esac
    case $signature in *[!0-9A-Za-z+/=]*) continue ;; esac
    for public in $RELEASE_KEYS; do
      if "verify_with_$verifier" "$public" "$signature" "$stage/signed"; then signer=$key && break 2; fi
    done
  done <"$stage/SIGNATURES"
  [ -n "$signer" ] || fail "$archive is not signed by drover's release key" 'it was not made by us, or was changed since; nothing was installed. Please tell us'
  say "signature of key $signer verified"
}

unsigned() {
  [ -n "$checksum_only" ] || fail "$1, so it cannot be told who made this release" 'install such a tool, or accept that with --checksum-only: then only damage on the way is noticed'
  say "not verified who made this release: $1. Going on by checksum only, as you asked"
}

# A tool counts as one that verifies when it takes a signature that is right and refuses it for another text.
find_verifier() {
  test_key='2sISxFLMsC5Cb8ZPpEbiDWJfeZZNC5pFg7lJYXJz+xM='
  test_signature='c2a2zGNKOV44GFUp0ZcdoVg5qSFOv86KF49aSbuspt50ZnAXxCeVPRH4USLGmXbn17KRWtZSqwZOnJ+4WMpJDQ=='
  echo drover >"$stage/right"
  echo Drover >"$stage/wrong"
  for verifier in openssl perl; do
    has "$verifier" || continue
    "verify_with_$verifier" "$test_key" "$test_signature" "$stage/right" || continue
    "verify_with_$verifier" "$test_key" "$test_signature" "$stage/wrong" || return 0
  done
  return 1
}

verify_with_openssl() {
  # What comes before the 32 bytes in this encoding is the same for every key, and ends where base64 begins a new group.
  printf -- '-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA%s\n-----END PUBLIC KEY-----\n' "$1" >"$stage/key.pem" &&
    printf '%s\n' "$2" | openssl base64 -d -A >"$stage/signature" 2>/dev/null &&
    openssl pkeyutl -verify -pubin -inkey "$stage/key.pem" -rawin -in "$3" -sigfile "$stage/signature" </dev/null >/dev/null 2>&1
}

# Ed25519 by its definition (RFC 8032), for systems whose openssl cannot: S·B = R + h·A, looked at as S·B - h·A = R.
# shellcheck disable=SC2016 # perl's dollars
verify_with_perl() {
  perl -e '
    use strict; use Math::BigInt; use Digest::SHA "sha512"; use MIME::Base64 "decode_base64";
    my ($key, $signature) = map { decode_base64($_) } @ARGV[0, 1];
    open(my $file, "<", $ARGV[2]) or exit 2;
    binmode $file;
    my $text = do { local $/; <$file> };
    exit 1 if length($key) != 32 || length($signature) != 64;
    sub number { Math::BigInt->new("0x" . unpack("H*", scalar reverse $_[0])) }
    my $p = Math::BigInt->new(2)->bpow(255)->bsub(19);
    my $order = Math::BigInt->new(2)->bpow(252)->badd("27742317777372353535851937790883648493");
    my $d = Math::BigInt->new(-121665)->bmul(Math::BigInt->new(121666)->bmodinv($p))->bmod($p);
    my $i = Math::BigInt->new(2)->bmodpow(($p - 1) / 4, $p);
    sub point { my ($x, $y) = @_; [$x, $y, Math::BigInt->new(1), $x * $y % $p] }
    sub add {
      my ($m, $n) = @_;
      my ($a, $b) = (($m->[1] - $m->[0]) * ($n->[1] - $n->[0]) % $p, ($m->[1] + $m->[0]) * ($n->[1] + $n->[0]) % $p);
      my ($c, $e) = (2 * $d * $m->[3] % $p * $n->[3] % $p, 2 * $m->[2] * $n->[2] % $p);
      my ($f, $g, $h, $k) = ($b - $a, $e - $c, $e + $c, $b + $a);
      [$f * $g % $p, $h * $k % $p, $g * $h % $p, $f * $k % $p];
    }
    sub x_of {
      my ($y, $odd) = @_;
      my ($u, $v) = (($y * $y - 1) % $p, ($d * $y * $y + 1) % $p);
      my $x = $u * $v ** 3 % $p * ($u * $v ** 7 % $p)->bmodpow(($p - 5) / 8, $p) % $p;
      $x = $x * $i % $p if $v * $x * $x % $p != $u;
      exit 1 if $v * $x * $x % $p != $u || ($x == 0 && $odd);
      ($x % 2) == $odd ? $x : $p - $x;
    }
    my $odd = ord(substr($key, 31)) >> 7;
    my $y = number($key & ("\xff" x 31 . "\x7f"));
    my $s = number(substr($signature, 32));
    exit 1 if $y >= $p || $s >= $order;
    my $minus_a = point(($p - x_of($y, $odd)) % $p, $y);
    my $base_y = Math::BigInt->new(4) * Math::BigInt->new(5)->bmodinv($p) % $p;
    my $base = point(x_of($base_y, 0), $base_y);
    my $both = add($base, $minus_a);
    my $h = number(sha512(substr($signature, 0, 32) . $key . $text)) % $order;
    my ($first, $second) = map { sprintf("%0256s", substr($_->as_bin, 2)) } $s, $h;
    my $sum = point(Math::BigInt->new(0), Math::BigInt->new(1));
    for my $at (0 .. 255) {
      $sum = add($sum, $sum);
      my ($one, $two) = (substr($first, $at, 1), substr($second, $at, 1));
      $sum = add($sum, $one ? $two ? $both : $base : $minus_a) if $one || $two;
    }
    my $z = $sum->[2]->copy->bmodinv($p);
    my ($rx, $ry) = map { $_ * $z % $p } @$sum[0, 1];
    my $r = reverse pack("H*", sprintf("%064s", substr($ry->as_hex, 2)));
    substr($r, 31, 1) = chr(ord(substr($r, 31)) | 128) if $rx % 2;
    exit($r eq substr($signature, 0, 32) ? 0 : 1);
  ' "$1" "$2" "$3" </dev/null 2>/dev/null
}

# ---- putting it in place

# The archive holds one file. It is read through a pipe: no name in it is ever used as a path.
unpack() {
  attend expand "$stage/$archive" "$stage/archive.tar" || fail "$archive cannot be unpacked" "it is damaged, has more than $MAX_PROGRAM_MB MB, or the disk is full"
  rm -f "$stage/$archive"
  listed=$(tar -tf "$stage/archive.tar" 2>/dev/null </dev/null) || fail "$archive is no tar archive"
  [ "$listed" = drover ] || fail "$archive does not hold exactly one file, drover" 'nothing of it was used'
  case $(tar -tvf "$stage/archive.tar" 2>/dev/null </dev/null) in
    -*) ;;
    *) fail "in $archive drover is no plain file" 'nothing of it was used' ;;
  esac
  attend take_out "$stage/archive.tar" "$stage/drover" || fail "$archive cannot be unpacked" "it is damaged, has more than $MAX_PROGRAM_MB MB, or the disk is full"
  rm -f "$stage/archive.tar"
  [ -s "$stage/drover" ] || fail "in $archive drover is empty"
  chmod 755 "$stage/drover" || fail "cannot make $stage/drover executable"
}

expand() {
  ulimit -f $((MAX_PROGRAM_MB * 2048))
  exec gzip -dc "$1" >"$2"
}

take_out() {
  ulimit -f $((MAX_PROGRAM_MB * 2048))
  exec tar -xOf "$1" drover >"$2"
}

# The first time that anything of the release is run: it is verified by now.
check_program() {
  digest=$(sha256 "$stage/drover")
  is_sum "$digest" || fail "cannot compute the checksum of $stage/drover"
  name=$version-$(first_digits "$digest")
  ask_version "$stage/drover" "$stage/said" || fail "drover $version does not run on this system (code $code)" 'what was installed before was left as it was'
  case $(head -n 1 "$stage/said") in
    "drover $version" | "drover $version "*) ;;
    *) fail "the program of this release is not drover $version" "it says: $(head -c 100 "$stage/said" | head -n 1)" ;;
  esac
}

# Of a home that is not there, so that it can neither read nor change anything.
ask_version() {
  code=1
  (
    unset DROVER_VERSION_OVERRIDE
    export DROVER_HOME="$stage/home"
    exec "$1" version
  ) </dev/null >"$2" &
  child=$!
  left=$((PREFLIGHT_SECONDS * 10))
  while kill -0 "$child" 2>/dev/null && [ "$left" -gt 0 ]; do
    nap
    left=$((left - 1))
  done
  if [ "$left" -le 0 ]; then kill -9 "$child" 2>/dev/null; fi
  wait "$child"
  code=$?
  child=''
  return "$code"
}

put_in_place() {
  release=$root/releases/$name
  before=$(current_release)
  if [ -e "$release" ] || [ -L "$release" ]; then
    if [ ! -L "$release" ] && [ -f "$release/drover" ] && [ ! -L "$release/drover" ] && [ -x "$release/drover" ] &&
      [ "$(sha256 "$release/drover")" = "$digest" ]; then
      release=''
    else
      mv "$release" "$stage/broken" || fail "cannot move the damaged $release away"
    fi
  fi
  if [ -n "$release" ]; then
    mkdir "$stage/release" && chmod 755 "$stage/release" && mv "$stage/drover" "$stage/release/drover" || fail "cannot write into $stage"
    # A pointer that is on disk before what it leads to would be worth nothing after a power cut.
    flush "$stage/release/drover"
    mv "$stage/release" "$release" || fail "cannot put the release into $root/releases"
  fi
  if [ "$before" != "$name" ]; then
    if [ -e "$root/current" ] && [ ! -L "$root/current" ]; then
      mv "$root/current" "$stage/not-a-link" || fail "cannot move $root/current away"
    fi
    ln -s "releases/$name" "$stage/current" && replace_link "$stage/current" "$root/current" || fail "cannot make $root/current lead to the new release"
  fi
}

# A plain mv would put the new link into the directory that the old one leads to.
# shellcheck disable=SC2016 # perl's dollars
replace_link() {
  mv -fT "$1" "$2" 2>/dev/null || mv -fh "$1" "$2" 2>/dev/null || perl -e 'exit !rename($ARGV[0], $ARGV[1])' "$1" "$2" 2>/dev/null
}

place_link() {
  mkdir -p "$bin" || fail "cannot make $bin" 'choose another directory with --bin-dir'
  # Of a run that was killed.
  rm -f "$bin/.drover.new"
  [ "$(readlink "$link" 2>/dev/null)" = "$root/current/drover" ] && return
  ln -s "$root/current/drover" "$bin/.drover.new" && mv -f "$bin/.drover.new" "$link" || {
    rm -f "$bin/.drover.new"
    fail "cannot make the link $link"
  }
}

write_record() {
  since=$(recorded installed_at)
  if [ -z "$since" ] || [ "$(recorded digest)" != "$digest" ]; then since=$(date -u +%Y-%m-%dT%H:%M:%SZ); fi
  shell_file=$(recorded shell_file)
  [ -z "$modify_path" ] || add_to_path
  {
    echo '{'
    echo '  "schema": 1,'
    echo '  "by": "install.sh",'
    echo "  \"version\": \"$version\","
    echo "  \"digest\": \"$digest\","
    echo "  \"archive\": \"$sum\","
    echo "  \"installed_at\": \"$since\","
    echo "  \"link\": \"$(escaped "$link")\","
    echo "  \"shell_file\": \"$(escaped "$shell_file")\","
    echo "  \"keys\": [${signer:+\"$signer\"}]"
    echo '}'
  } >"$stage/install.json" && mv -f "$stage/install.json" "$root/install.json" || fail "cannot write $root/install.json"
}

escaped() {
  printf '%s' "$1" | sed 's/["\\]/\\&/g'
}

# ---- the shell's file

in_path() {
  case :${PATH:-}: in
    *:"$bin":*) true ;;
    *) false ;;
  esac
}

add_to_path() {
  if in_path; then return; fi
  case $bin in
    *[\"\$\`\\\'!:]*) fail "cannot write $bin into a shell's file" 'add it to PATH yourself' ;;
  esac
  line="export PATH=\"$bin:\$PATH\" $SHELL_MARK"
  case ${SHELL:-} in
    */zsh) shell_file=${ZDOTDIR:-$home}/.zshrc ;;
    */bash)
      shell_file=$home/.bashrc
      if [ "$(uname -s)" = Darwin ]; then shell_file=$home/.bash_profile; fi
      ;;
    */fish)
      shell_file=${XDG_CONFIG_HOME:-$home/.config}/fish/conf.d/drover.fish
      line="set -gx PATH \"$bin\" \$PATH $SHELL_MARK"
      ;;
    *) shell_file=$home/.profile ;;
  esac
  if [ -f "$shell_file" ] && grep -qF "$line" "$shell_file"; then return; fi
  mkdir -p "${shell_file%/*}" || fail "cannot make ${shell_file%/*}"
  # A last line without an end would otherwise become part of ours.
  if [ -s "$shell_file" ] && [ -n "$(tail -c 1 "$shell_file")" ]; then line="
$line"; fi
  printf '%s\n' "$line" >>"$shell_file" || fail "cannot write to $shell_file"
}

# The file stays the one it is, link or not. As bytes: not every such file is text in the encoding of this terminal.
clean_shell_file() {
  [ -f "$1" ] && LC_ALL=C grep -qF "$SHELL_MARK" "$1" || return 0
  by_hand="remove the line that ends in '$SHELL_MARK' yourself"
  copy=$1.drover-uninstall
  LC_ALL=C sed "/$SHELL_MARK/d" "$1" >"$stage/rest" || fail "cannot read $1" "$by_hand"
  cp -p "$1" "$copy" && flush "$copy" || fail "cannot copy $1" "$by_hand"
  if cat "$stage/rest" >"$1" && flush "$1"; then
    rm -f "$copy"
    [ -s "$1" ] || case $1 in */fish/conf.d/drover.fish) rm -f "$1" ;; esac
    say "removed our line from $1"
  elif cat "$copy" >"$1" && flush "$1"; then
    rm -f "$copy"
    fail "cannot write $1" "$by_hand"
  else
    fail "cannot write $1" "what was in it is in $copy; put it back"
  fi
}

# Some systems' sync takes no file.
flush() {
  sync "$1" 2>/dev/null || sync
}

# ---- removing

remove_installation() {
  if [ ! -e "$root/install.json" ] && [ ! -L "$root/current" ] && [ ! -d "$root/releases" ]; then
    say "no drover is installed in $root"
    return
  fi
  stage=$root/staging/install.$$
  mkdir -p "$stage" && chmod 700 "$stage" || fail "cannot write into $root"
  # A drover that works knows more: what runs, which services there are.
  if [ -x "$root/current/drover" ] && ask_version "$root/current/drover" "$stage/said" 2>/dev/null; then
    rm -rf "$stage"
    "$root/current/drover" uninstall </dev/null || fail "drover uninstall did not succeed (code $?)" 'see what it said above; nothing more was removed'
    [ ! -e "$root/install.json" ] || fail "drover uninstall left $root/install.json"
    return
  fi
  say 'the installed drover does not work; removing its files'
  open_root
  shell_file=$(recorded shell_file)
  [ -z "$shell_file" ] || clean_shell_file "$shell_file"
  was_link=$(recorded link)
  [ -n "$was_link" ] || was_link=$link
  if [ "$(readlink "$was_link" 2>/dev/null)" = "$root/current/drover" ]; then rm -f "$was_link"; fi
  rm -f "$root/install.json" "$root/update.json" "$root/current" "$root/install.lock"
  rm -rf "$root/releases" "$root/staging"
  stage=''
  rm -f "$locks/$turn"
  rmdir "$locks" 2>/dev/null
  turn=''
  rmdir "$root" 2>/dev/null || say "$root holds files of others and was left"
  say "removed drover from $root; tasks and settings are in $data"
}

# ---- ends

finish() {
  rm -rf "$stage"
  stage=''
  echo "$1"
  echo "  program   $root/releases/$name/drover"
  echo "  command   $link"
  if [ -n "$shell_file" ]; then echo "  PATH      a line at the end of $shell_file, for new terminals"; fi
  echo "  remove    drover uninstall   (your tasks and settings in $data stay)"
  if ! in_path; then
    if [ -z "$shell_file" ]; then
      echo "$bin is not in your PATH. Add it there, or run this again with --modify-path; until then:"
    fi
    echo "  export PATH=\"$bin:\$PATH\""
  fi
  echo 'Nothing was started. Next: drover doctor'
}

# Whatever happens, what is left is an installation as it was before or as it is to be.
leave() {
  trap - EXIT HUP INT TERM
  if [ -n "$child" ]; then
    kill "$child" 2>/dev/null
    wait "$child" 2>/dev/null
  fi
  if [ -n "$stage" ]; then rm -rf "$stage"; fi
  rmdir "$root/staging" 2>/dev/null
  if [ -n "$turn" ]; then
    if [ -n "$made_root" ] && [ ! -e "$root/install.json" ] && [ ! -L "$root/current" ]; then
      rmdir "$root/releases" 2>/dev/null
      rm -f "$locks/$turn"
      rmdir "$locks" 2>/dev/null && rmdir "$root" 2>/dev/null
    else
      ln -s 'done' "$locks/$turn.done" 2>/dev/null
    fi
  fi
  exit "$1"
}

say() {
  echo "drover: $1" >&2
}

fail() {
  echo "drover: $doing failed: $1" >&2
  if [ $# -gt 1 ]; then echo "  $2" >&2; fi
  exit 1
}

misused() {
  echo "drover: $1; --help says what there is" >&2
  exit 2
}

has() {
  command -v "$1" >/dev/null 2>&1
}

need() {
  for tool in "$@"; do
    has "$tool" || fail "$tool is not installed" 'install it with your package manager'
  done
}

main "$@"
