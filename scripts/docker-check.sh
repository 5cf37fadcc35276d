#!/usr/bin/env bash
# Proves the Docker files on a Docker engine: those of `muster init`, docker-compose.yml and deploy/swarm. Each part removes what
# it made. Needs docker compose 2.24, curl, node and npm. PORT: another port than 8080.
#   scripts/docker-check.sh [init] [compose] [swarm]    all of them without arguments
set -euo pipefail
cd "$(dirname "$0")/docker-check"
[ $# -gt 0 ] || set -- init compose swarm
for part; do "./$part.sh"; done
echo 'PASS all'
