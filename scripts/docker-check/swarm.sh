#!/usr/bin/env bash
# Proves deploy/swarm/stack.yml on a swarm of this one engine: deploys it, rolls new images under load, and a bad one.
source "$(dirname "$0")/common.sh"
image=muster-check-swarm
export START_PERIOD=${START_PERIOD:-60s}
ours=''
clean_up() {
  [ -n "$ours" ] || return 0
  [ $1 = 0 ] || docker service ps --no-trunc muster_app || true
  [ $1 = 0 ] || timeout 10 docker service logs --tail 40 muster_app || true
  docker stack rm muster
  until_ok 120000 gone || return 1
  docker swarm leave --force
  docker volume rm muster_redis
  docker images --quiet "$image" | sort -u | xargs docker rmi --force
}
gone() { [ -z "$(docker ps --all --quiet --filter "label=com.docker.stack.namespace=muster")" ]; }

# build RELEASE [INSTRUCTION]: an image that differs from the others. A busy machine alone makes it fail in nothing.
build() {
  printf 'FROM %s\nENV RELEASE=%s MAX_LOOP_DELAY=0 REDIS_TIMEOUT=10000 BOOT_TIMEOUT=120000\n%s\n' "$image" "$1" "${2:-}" |
    docker build --quiet --tag "$image:$1" - >&2
}
deploy() { MUSTER_IMAGE=$1 docker stack deploy --resolve-image never --compose-file deploy/swarm/stack.yml muster >&2; }
# The images of the tasks that run.
running() { docker service ps muster_app --filter desired-state=running --format '{{.Image}} {{.CurrentState}}' | sed -n 's/ Running .*//p' | xargs; }
state() { docker service inspect --format '{{.UpdateStatus.State}}: {{.UpdateStatus.Message}}' muster_app 2>&1; }
run_three_of() { [ "$(running)" = "$1 $1 $1" ]; }
# rolled IMAGE STATE: the state alone may be that of an earlier update.
rolled() { run_three_of "$1" && [[ $(state) = "$2:"* ]]; }

[ "$(docker info --format '{{.Swarm.LocalNodeState}}')" = inactive ] ||
  fail 'this engine is part of a swarm: run scripts/docker-check.sh where nothing else depends on it'
docker swarm init --advertise-addr 127.0.0.1 >&2
ours=yes
docker build --tag "$image" . >&2
build 1
echo "redis://:$(openssl rand -hex 32)@redis:6379" | docker secret create muster-redis-url - >&2

deploy "$image:1"
until_ok 180000 run_three_of "$image:1" || fail "not three containers run: $(running)"
until_ok 60000 answering_are 3 || fail "not three containers answer: $(answering | xargs)"
pass 'three containers answer at the port of the proxy'
container=$(docker ps --quiet --filter label=com.docker.swarm.service.name=muster_app | head -n 1)
equal 'muster works inside' "$(docker exec "$container" muster status --json | json ok)" true
equal 'the service runs without root, capabilities and a writable root' \
  "$(docker inspect -f '{{.Config.User}} {{.HostConfig.ReadonlyRootfs}} {{.HostConfig.CapDrop}}' "$container")" 'node true [ALL]'

for release in 2 3 4; do
  build "$release"
  start_load
  deploy "$image:$release"
  until_ok 600000 rolled "$image:$release" completed || fail "image $release was not rolled: $(state), $(running)"
  stop_load "image $release replaces three containers"
done

start_load
docker service rollback --detach muster_app >&2
until_ok 600000 rolled "$image:3" rollback_completed || fail "not rolled back by hand: $(state), $(running)"
stop_load 'a rollback by hand loses nothing'

# It answers everything with 503, so that it is never ready.
build 5 "CMD [\"node\", \"-e\", \"http.createServer((_, answer) => answer.writeHead(503).end()).listen(8080)\"]"
start_load
deploy "$image:5"
until_ok 600000 rolled "$image:3" rollback_completed || fail "the bad image was not rolled back: $(state), $(running)"
stop_load 'an image that does not become healthy is rolled back'

start_load
docker service scale --detach muster_app=5 >&2
until_ok 60000 answering_are 5 || fail "not five containers answer: $(answering | xargs)"
docker service scale --detach muster_app=3 >&2
until_ok 60000 answering_are 3 || fail "not three containers answer: $(answering | xargs)"
stop_load 'scaling to five containers and back loses nothing'
