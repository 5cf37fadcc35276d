import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { type Service, START, type StartOptions, startService, temporaryFolder } from './service.ts'

/**
 * Does what systemd does with deploy/systemd: it holds the listening socket, passes it to each start of the service as descriptor 3, and
 * starts the service again a second after it has failed. When the main process has ended, it kills the others (KillMode=mixed).
 */
const MANAGER = `
while :; do
  setsid sh -c 'export LISTEN_FDS=1 LISTEN_PID=$$; exec ${START}' &
  main=$!
  wait $main; code=$?
  kill -9 -- -$main 2>/dev/null
  [ $code -eq 0 ] && exit
  sleep 1
done`

/** Starts a service below a stand-in for systemd and its socket unit. Needs `setsid`. */
export async function startUnderSocketUnit(t: TestContext, options: StartOptions): Promise<Service> {
  const server: Server & { _handle?: { fd: number } } = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const manager = join(temporaryFolder(t), 'manager.sh')
  writeFileSync(manager, MANAGER)
  const started = startService(t, { ...options, command: `sh ${manager}`, fd: server._handle!.fd })
  // Only the manager keeps the socket: this process would accept from it.
  server.close()
  return started
}
