#!/usr/bin/env bash
# Proves docker-compose.yml: builds it and runs it in a project of its own. COMPOSE_FILE names other or further compose files.
source "$(dirname "$0")/common.sh"
export COMPOSE_PROJECT_NAME=muster-check
# A busy machine alone fails nothing.
cat >"$work/patient.yml" <<'YAML'
services:
  app:
    environment: { BOOT_TIMEOUT: 120000, MAX_LOOP_DELAY: 0, REDIS_TIMEOUT: 5000 }
    healthcheck: { start_period: 120s }
YAML
files=${COMPOSE_FILE:-docker-compose.yml}
export COMPOSE_FILE=$files:$work/patient.yml
jar=$work/jar
clean_up() {
  [ $1 = 0 ] || docker compose logs --tail 40 || true
  docker compose down -v --rmi local
}
inside() { docker compose exec -T app node -e "$1"; }
up() {
  docker compose up "$@" --detach --wait --wait-timeout 240 >&2
  until_ok 5000 get "$URL/readyz" || fail 'not ready 5 s after it was healthy'
}

docker compose down -v >&2 # what an earlier check may have left

up --build
equal 'healthy and ready' "$(get "$URL/readyz" | json status)" ok

equal 'hits: 1, 2, 3' "$(for _ in 1 2 3; do get "$URL/" | json hits; done | xargs)" '1 2 3'
visit() { get -b "$jar" -c "$jar" "$URL/" | json visits; }
equal 'a cookie jar: visits 1, 2, 3' "$(visit; visit; visit)" $'1\n2\n3'

ready=$(get "$URL/readyz?verbose" | json checks.workers)
slots=$(seq 200 | xargs -P 20 -I{} curl -fsS --max-time 10 -w '\n' "$URL/" | grep -o '"slot":[0-9]*' | sort -u | wc -l)
equal 'every worker answers' "$((slots)) of $((slots)) ready" "$ready"

equal 'PID 1 runs as node, without capabilities, and can gain none' \
  "$(inside 'console.log(fs.readFileSync("/proc/1/status", "utf8").match(/^(Uid|CapEff|CapBnd|NoNewPrivs):\s*\w+/gm).join(" ").replace(/\s+/g, " "))')" \
  'Uid: 1000 CapEff: 0000000000000000 CapBnd: 0000000000000000 NoNewPrivs: 1'
equal 'the root is read-only, RUN_DIR is not' \
  "$(inside 'for (const folder of ["/app", "/tmp", "/run/muster"]) try { fs.writeFileSync(folder + "/probe", ""); console.log("written") } catch (error) { console.log(error.code) }' | xargs)" \
  'EROFS EROFS written'
equal 'the password of Redis is read-only there' \
  "$(inside 'try { fs.writeFileSync("/run/secrets/url", "") } catch (error) { console.log(error.code) }')" EROFS
container=$(docker compose ps -q app)
equal 'Docker says the same' \
  "$(docker inspect -f '{{.Config.User}} {{.HostConfig.ReadonlyRootfs}} {{.HostConfig.CapDrop}} {{.HostConfig.SecurityOpt}}' "$container")" \
  'node true [ALL] [no-new-privileges:true]'
equal 'so it is with Redis' \
  "$(docker inspect -f '{{.Config.User}} {{.HostConfig.ReadonlyRootfs}} {{.HostConfig.CapDrop}} {{.HostConfig.SecurityOpt}}' "$(docker compose ps -q redis)")" \
  'redis true [ALL] [no-new-privileges:true]'
equal 'Redis asks for its password' "$(docker compose exec -T redis redis-cli get muster:hits | cut -d' ' -f1)" NOAUTH
equal 'Redis is not published' "$(docker inspect -f '{{range .HostConfig.PortBindings}}published{{end}}' "$(docker compose ps -q redis)")" ''

published() { json "services.app.ports[0].$1"; }
equal 'the port is published on loopback' "$(docker compose port app 8080)" "127.0.0.1:$PORT"
equal 'PUBLISH_ADDRESS changes that' "$(PUBLISH_ADDRESS=0.0.0.0 docker compose config --format json | published host_ip)" 0.0.0.0

status() { docker compose exec -T app muster status --json; }
reloaded() { [ "$(status | json result.lastReload.outcome)" = done ]; }
before=$(status | json 'result.workers.map(({ pid }) => pid)')
start_load
docker compose kill -s SIGHUP app >&2
until_ok 60000 reloaded || fail 'SIGHUP: no reload was done'
stop_load 'SIGHUP loses nothing'
equal 'SIGHUP replaces every worker' "$(status | json "result.workers.some(({ pid }) => $before.includes(pid))")" false

# Zombies would stay, because the container has no init process to reap them.
worker=$(get "$URL/" | json worker.pid)
inside "process.kill($worker, 'SIGKILL')"
replaced() { ! inside "process.kill($worker, 0)" && [ "$(get "$URL/readyz?verbose" | json checks.workers)" = "$ready" ]; }
until_ok 5000 replaced || fail 'a killed worker was not replaced in 5 s'
equal 'no zombies after the roll and a killed worker' \
  "$(inside 'console.log(fs.readdirSync("/proc").filter((pid) => pid > 0).flatMap((pid) => { try { return fs.readFileSync(`/proc/${pid}/stat`, "utf8").match(/\) Z /) ? pid : [] } catch { return [] } }).length)')" 0

# A request that is half sent when the container is told to stop, and goes on once no connection is taken any more.
stopped=$(node "$scripts/half-sent.mjs") && pass "stop answers the request in flight: $stopped" || fail "stop answers the request in flight: $stopped"
equal 'stop ends with exit code 0, not killed' "$(docker inspect -f '{{.State.ExitCode}} {{.State.OOMKilled}}' "$container")" '0 false'

# Down and up: new containers, the same volume.
in_redis() { docker compose exec -T redis sh -c "REDISCLI_AUTH=\$(cat /run/secrets/password) redis-cli $1"; }
hits=$(in_redis 'get muster:hits')
docker compose down >&2
up
equal 'hits are kept' "$(get "$URL/" | json hits)" $((hits + 1))
equal 'the session is kept' "$(visit)" 4

from=$(now)
docker compose restart redis >&2
healthy() { [ "$(docker inspect -f '{{.State.Health.Status}}' "$(docker compose ps -q redis)")" = healthy ]; }
until_ok 30000 healthy || fail 'Redis is not healthy 30 s after its restart'
until_ok 3000 get "$URL/" || fail 'no service 3 s after Redis is healthy again'
until_ok 100 get "$URL/readyz" || fail 'not ready though it serves'
pass "serves again $(($(now) - from)) ms after Redis was told to restart"
equal 'the session is kept through it' "$(visit)" 5
[ "$(get "$URL/hits" | json hits)" -gt $((hits + 1)) ] && pass 'hits are kept through it' || fail 'hits went back'
equal 'without a restart of its own' "$(docker inspect -f '{{.RestartCount}} {{.State.Health.Status}}' "$(docker compose ps -q app)")" '0 healthy'

export COMPOSE_FILE=$files:deploy/compose/scaled.yml:$work/patient.yml
up
start_load
docker compose up --detach --wait --scale app=3 >&2
until_ok 30000 answering_are 3 || fail "not three containers answer: $(answering | xargs)"
docker compose up --detach --scale app=1 >&2
until_ok 30000 answering_are 1 || fail "not one container answers: $(answering | xargs)"
stop_load 'scaling to three containers and back loses nothing'

# A new image beside the old one: the commands of docs/how-to/docker.md. The image is changed, so that it differs from the old one.
start_load
docker compose build >&2
printf 'FROM muster-check-app\nENV RELEASE=2\n' | docker build --quiet --tag muster-check-app - >&2
old=$(docker compose ps --quiet app)
docker compose up --detach --wait --no-recreate --scale app=2 >&2
docker stop $old >&2
docker rm $old >&2
stop_load 'a new image loses nothing'
equal 'the new image serves' "$(inside 'console.log(process.env.RELEASE)')" 2
