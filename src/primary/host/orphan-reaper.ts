import { spawn } from 'node:child_process'
import type { Logger } from '../../common/log.ts'

/**
 * One small shell that outlives a killed primary, for half a MB. It reads which processes live from a pipe whose other
 * end only the primary has; at its end, after the time that workers have to finish, it ends what is left: a worker in
 * an endless loop never notices that its primary is gone, and the embedded Redis would stay for ever.
 * Nothing is left to do when the primary ended in order.
 */
const SCRIPT = `
workers=' ' servers=' '
while read -r op pid; do
  case $op in
    +worker) workers="$workers$pid " ;;
    +server) servers="$servers$pid " ;;
    -worker) workers="\${workers%% $pid *} \${workers#* $pid }" ;;
    -server) servers="\${servers%% $pid *} \${servers#* $pid }" ;;
  esac
done
[ "$workers$servers" = '  ' ] && exit
for i in 1 2 3 4 5 6; do
  alive=
  for pid in $workers; do kill -0 $pid 2>/dev/null && alive=1; done
  [ -z "$alive" ] && break
  sleep 0.5
done
for pid in $workers; do kill -9 $pid 2>/dev/null; done
for pid in $servers; do kill -TERM $pid 2>/dev/null; done
`

export interface OrphanReaper {
  note(kind: 'worker' | 'server', pid: number, alive: boolean): void
}

export function startOrphanReaper(log: Logger): OrphanReaper {
  // Detached: a signal to the primary's whole group must not end it first.
  const shell = spawn('/bin/sh', ['-c', SCRIPT], { stdio: ['pipe', 'ignore', 'ignore'], detached: true })
  shell.unref()
  shell.on('error', (error) => log.warn({ err: error }, 'no shell to watch over a killed primary'))
  shell.stdin.on('error', (error) => log.warn({ err: error }, 'the shell that watches over a killed primary is gone'))
  // Its pipe must not keep the primary alive.
  ;(shell.stdin as unknown as { unref(): void }).unref()
  return {
    note: (kind, pid, alive) => void shell.stdin.write(`${alive ? '+' : '-'}${kind} ${pid}\n`)
  }
}
