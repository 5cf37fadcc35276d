# What the parts of scripts/docker-check.sh share. A part sources it, defines clean_up and puts files into $work.
set -euo pipefail
scripts=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$scripts/../.."
export PORT=${PORT:-8080}
export URL=http://127.0.0.1:$PORT
work=$(mktemp -d)
load=''

# clean_up gets the exit code, and must end with 0 when all is removed.
finish() {
  local code=$?
  trap - EXIT
  [ -z "$load" ] || kill "$load" || true
  clean_up $code >&2 || code=1
  rm -rf "$work"
  exit $code
}
trap finish EXIT

pass() { echo "PASS $*"; }
fail() {
  echo "FAIL $*" >&2
  exit 1
}
equal() { [ "$2" = "$3" ] && pass "$1" || fail "$1: expected '$3', got '$2'"; }
get() { curl -fsS --max-time 10 "$@"; }
json() { node -pe "JSON.parse(require('fs').readFileSync(0, 'utf8')).$1"; }
now() { node -p 'Date.now()'; }
# until_ok MILLISECONDS COMMAND...: again and again until it succeeds, or too late.
until_ok() {
  local end=$(($(now) + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    [ "$(now)" -lt $end ] || return 1
    sleep 0.1
  done
}
# The containers that answer, one line each.
answering() { for _ in {1..60}; do get "$URL/" | json host; done | sort -u; }
answering_are() { [ "$(answering | wc -l)" = "$1" ]; }

# Clients ask $URL from here to stop_load. Every failure counts, and no request is sent twice.
start_load() {
  node "$scripts/load.mjs" >"$work/load" &
  load=$!
  until_ok 60000 grep -q started "$work/load" || fail 'the clients got no answers'
}
# stop_load PROMISE: fails when a request failed.
stop_load() {
  kill -TERM "$load"
  wait "$load" && load='' || fail "$1: $(tail -n 1 "$work/load")"
  pass "$1: $(tail -n 1 "$work/load")"
}
