#!/usr/bin/env bash
# Proves the Docker files, also those of `muster init`: builds them, runs them in projects of their own, and removes these again.
# Needs docker compose, curl and node. COMPOSE_FILE names other or further compose files, PORT another port than 8080.
set -euo pipefail
cd "$(dirname "$0")/.."
export COMPOSE_PROJECT_NAME=muster-check PORT=${PORT:-8080}
export URL=http://127.0.0.1:$PORT
jar=$(mktemp)

finish() {
  local code=$?
  trap - EXIT
  [ $code = 0 ] || docker compose logs --tail 40 app >&2 || true
  docker compose down -v --rmi local >&2 || code=1
  rm -f "$jar"
  exit $code
}
pass() { echo "PASS $*"; }
fail() {
  echo "FAIL $*" >&2
  exit 1
}
equal() { [ "$2" = "$3" ] && pass "$1" || fail "$1: expected '$3', got '$2'"; }
get() { curl -fsS --max-time 5 "$@"; }
json() { node -pe "JSON.parse(require('fs').readFileSync(0, 'utf8')).$1"; }
inside() { docker compose exec -T app node -e "$1"; }
now() { node -p 'Date.now()'; }
# until_ok MILLISECONDS COMMAND...: again and again until it succeeds, or too late.
until_ok() {
  local end=$(($(now) + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    [ "$(now)" -lt $end ] || return 1
    sleep 0.05
  done
}
up() {
  docker compose up "$@" --detach --wait --wait-timeout 120 >&2
  until_ok 5000 get "$URL/readyz" || fail 'not ready 5 s after it was healthy'
}

scripts/docker-check-init.sh # the files of new apps
docker compose down -v >&2 # what an earlier check may have left
trap finish EXIT

up --build
equal 'healthy and ready' "$(get "$URL/readyz" | json status)" ok

equal 'hits: 1, 2, 3' "$(for _ in 1 2 3; do get "$URL/" | json hits; done | xargs)" '1 2 3'
visit() { get -b "$jar" -c "$jar" "$URL/" | json visits; }
equal 'a cookie jar: visits 1, 2, 3' "$(visit; visit; visit)" $'1\n2\n3'

ready=$(get "$URL/readyz?verbose" | json checks.workers)
slots=$(for _ in {1..40}; do get "$URL/" | json worker.slot; done | sort -u | wc -l)
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

# SIGHUP while clients on kept and on fresh connections ask all the time; every failure counts, nothing is asked twice.
rolled=$(node - <<'JS'
const { execFile } = require('node:child_process')
const { Agent, get } = require('node:http')
const { promisify } = require('node:util')
const compose = (...args) => promisify(execFile)('docker', ['compose', ...args])
const failures = {}
const numbers = new Set()
const fail = (what) => (failures[what] = (failures[what] ?? 0) + 1)
const status = async () => JSON.parse((await compose('exec', '-T', 'app', 'muster', 'status', '--json')).stdout).result
let running = true
let opened = 0
const ask = (agent) =>
  new Promise((resolve) => {
    const request = get(process.env.URL, { agent, timeout: 5000 }, (response) => {
      let text = ''
      response.on('data', (chunk) => (text += chunk))
      response.on('error', (error) => resolve(fail(error.code)))
      response.on('end', () => {
        if (response.statusCode !== 200) return resolve(fail(response.statusCode))
        const { hits } = JSON.parse(text)
        resolve(numbers.has(hits) ? fail('a number twice') : numbers.add(hits))
      })
    })
    request.on('socket', () => (opened += agent && !request.reusedSocket ? 1 : 0))
    request.on('timeout', () => request.destroy(Object.assign(new Error(), { code: 'timeout' })))
    request.on('error', (error) => resolve(fail(error.code)))
  })
const client = async (agent) => {
  while (running) await ask(agent)
}
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
process.exitCode = 1 // unless it gets to its end
async function main() {
  const before = await status()
  const agents = Array.from({ length: 8 }, () => new Agent({ keepAlive: true, maxSockets: 1 }))
  const clients = [...agents, false, false, false, false].map(client)
  await sleep(1000)
  await compose('kill', '-s', 'SIGHUP', 'app')
  const end = Date.now() + 18_000
  let after
  do await sleep(500)
  while ((after = await status()).lastReload === null && Date.now() < end)
  await sleep(500)
  running = false
  await Promise.all(clients)
  for (const agent of agents) agent.destroy()
  const replaced = after.workers.every(
    (worker) => worker.generation > before.generation && !before.workers.some((old) => old.pid === worker.pid)
  )
  const good = Object.keys(failures).length === 0 && after.lastReload?.outcome === 'done' && replaced
  console.log(
    `${numbers.size} requests, failures ${JSON.stringify(failures)}, kept connections opened again ${opened - agents.length}, ` +
      `generation ${before.generation} to ${after.generation} in ${after.lastReload?.durationMs} ms`
  )
  process.exitCode = good && opened === agents.length ? 0 : 1
}
main()
JS
) && pass "SIGHUP rolls: $rolled" || fail "SIGHUP rolls: $rolled"

# Zombies would stay, because the container has no init process to reap them.
worker=$(get "$URL/" | json worker.pid)
inside "process.kill($worker, 'SIGKILL')"
replaced() { ! inside "process.kill($worker, 0)" && [ "$(get "$URL/readyz?verbose" | json checks.workers)" = "$ready" ]; }
until_ok 5000 replaced || fail 'a killed worker was not replaced in 5 s'
equal 'no zombies after the roll and a killed worker' \
  "$(inside 'console.log(fs.readdirSync("/proc").filter((pid) => pid > 0).flatMap((pid) => { try { return fs.readFileSync(`/proc/${pid}/stat`, "utf8").match(/\) Z /) ? pid : [] } catch { return [] } }).length)')" 0

# A request that is half sent when the container is told to stop, and goes on once no connection is taken any more.
stopped=$(node - <<'JS'
const { spawn } = require('node:child_process')
const { connect } = require('node:net')
const { hostname, port } = new URL(process.env.URL)
const once = (emitter, event) => new Promise((resolve) => emitter.once(event, resolve))
const refused = () =>
  fetch(process.env.URL + '/livez').then(
    () => false,
    () => true
  )
process.exitCode = 1 // unless it gets to its end
async function main() {
  const body = JSON.stringify({ name: 'ada' })
  const socket = connect(Number(port), hostname)
  let answer = ''
  socket.on('data', (data) => (answer += data))
  socket.on('error', (error) => (answer += error.code))
  const closed = once(socket, 'close')
  socket.write(
    `POST /session HTTP/1.1\r\nHost: app\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body.slice(0, 5)}`
  )
  await new Promise((resolve) => setTimeout(resolve, 500))
  const from = Date.now()
  const stop = spawn('docker', ['compose', 'stop', 'app'], { stdio: 'ignore' })
  const exit = once(stop, 'exit')
  while (!(await refused())) await new Promise((resolve) => setTimeout(resolve, 100))
  socket.write(body.slice(5))
  await Promise.all([closed, exit])
  console.log(`${answer.split('\r\n')[0]}, ${(Date.now() - from) / 1000} s`)
  process.exitCode = answer.startsWith('HTTP/1.1 200') && answer.includes('"name":"ada"') ? 0 : 1
}
main()
JS
) && pass "stop answers the request in flight: $stopped" || fail "stop answers the request in flight: $stopped"
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
echo 'PASS all'
