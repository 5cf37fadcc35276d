#!/usr/bin/env bash
# Proves the Docker files of `muster init`: writes an app in each language and runs it by docker compose. The image installs this
# checkout, packed, in place of the package that is published.
source "$(dirname "$0")/common.sh"
unset COMPOSE_FILE
project=''
clean_up() {
  [ -n "$project" ] || return 0
  [ $1 = 0 ] || docker compose -p "$project" logs --tail 40 || true
  docker compose -p "$project" down -v --rmi local
}
# The state of a service, or nothing while it does not answer.
state_of() { docker exec "$1" muster status --json 2>/dev/null | json result.state 2>/dev/null || true; }
post() { curl -sS --max-time 5 -X POST "$@"; }

# A copy, because packing compiles from scratch.
mkdir "$work/package"
cp -r src scripts deploy .env.example package.json package-lock.json tsconfig.json README.md LICENSE CHANGELOG.md "$work/package"
ln -s "$PWD/node_modules" "$work/package/node_modules"
(cd "$work/package" && npm pack --silent --pack-destination "$work" >/dev/null)
tarball=$(cd "$work" && echo muster-serve-*.tgz)

for language in typescript javascript; do
  (cd "$work" && node package/dist/src/cli/muster.js init "$language" "--$language" >/dev/null)
  cd "$work/$language"
  cp "../$tarball" .
  npm pkg set "dependencies.muster-serve=file:$tarball"
  sed -i 's/^COPY package\*\.json/& *.tgz/' Dockerfile
  project=muster-init-$language
  export COMPOSE_PROJECT_NAME=$project

  # The commands of docs/guide/production.md.
  docker compose up --build --detach --wait >&2
  container=$(docker compose ps -q app)
  equal "$language: healthy and ready" "$(get "$URL/readyz" | json status)" ok
  equal "$language: hits 1, 2" "$(get "$URL/" | json hits) $(get "$URL/" | json hits)" '1 2'
  post -c jar -H 'content-type: application/json' -d '{"name":"ada"}' "$URL/session" >/dev/null
  equal "$language: signed in" "$(get -b jar "$URL/" | json name)" ada
  equal "$language: the third ticket is the last one" \
    "$(for _ in 1 2 3 4; do post -o /dev/null -w '%{http_code} ' "$URL/tickets"; done)" '200 200 200 409 '
  equal "$language: without root, rights and a writable file system" \
    "$(docker inspect -f '{{.Config.User}} {{.HostConfig.ReadonlyRootfs}} {{.HostConfig.CapDrop}}' "$container")" 'node true [ALL]'
  equal "$language: muster works inside" "$(docker compose exec -T app muster status --json | json ok)" true
  docker compose kill -s SIGHUP app >&2
  docker compose stop >&2
  equal "$language: stop drains" "$(docker inspect -f '{{.State.ExitCode}}' "$container")" 0
  docker compose down >&2
  docker compose up --detach --wait >&2
  equal "$language: the session and the hits are kept" "$(get -b jar "$URL/" | json name) $(get "$URL/" | json hits)" 'ada 5'
  # As in a pod: the volume belongs to root, and RUN_DIR is a folder in it.
  pod=$(docker run --detach --rm --network "${project}_default" --user 1000:1000 --read-only --cap-drop ALL \
    --tmpfs /run/shop:mode=0777 -e RUN_DIR=/run/shop/muster -e REDIS_URL=redis://redis:6379 "$project-app")
  for _ in {1..120}; do
    [ "$(state_of "$pod")" = running ] && break
    sleep 0.25
  done
  equal "$language: runs as a pod does" "$(state_of "$pod")" running
  docker stop "$pod" >&2
  docker compose down --volumes --rmi local >&2
  project=''
  cd - >/dev/null
done
