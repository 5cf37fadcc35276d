import { spawn } from 'node:child_process'
import type { Logger } from '../../common/log.ts'

/**
 * A small shell (half a MB) that outlives a killed primary. It reads the list of live processes from a pipe whose other end only
 * the primary has. When the pipe closes, workers get 3 s to finish; then it kills the remaining ones and stops the embedded
 * Redis. A worker in an endless loop never notices that its primary is gone, and the embedded Redis would run for ever.
 * After an orderly exit of the primary the list is empty. A primary that takes over from the killed one is its heir: it keeps the Redis.
 */
const SCRIPT = `
workers=' ' servers=' ' heirs=' '
while read -r op pid; do
  case $op in
    +worker) workers="$workers$pid " ;;
    +server) servers="$servers$pid " ;;
    +heir) heirs="$heirs$pid " ;;
    -worker) workers="\${workers%% $pid *} \${workers#* $pid }" ;;
    -server) servers="\${servers%% $pid *} \${servers#* $pid }" ;;
    -heir) heirs="\${heirs%% $pid *} \${heirs#* $pid }" ;;
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
for pid in $heirs; do kill -0 $pid 2>/dev/null && servers=; done
for pid in $servers; do kill -TERM $pid 2>/dev/null; done
`

export interface OrphanReaper {
  /** Adds a process to the list, or removes it. */
  note(kind: 'worker' | 'server' | 'heir', pid: number, alive: boolean): void
}

/** Starts the shell. A failure is logged: the service runs without a reaper. */
export function startOrphanReaper(log: Logger): OrphanReaper {
  // Detached, so that a signal to the primary's process group does not end it first.
  const shell = spawn('/bin/sh', ['-c', SCRIPT], { stdio: ['pipe', 'ignore', 'ignore'], detached: true })
  shell.unref()
  shell.on('error', (error) => log.warn({ err: error }, 'orphan reaper failed to start'))
  shell.stdin.on('error', (error) => log.warn({ err: error }, 'orphan reaper exited'))
  // The pipe must not keep the primary alive.
  ;(shell.stdin as unknown as { unref(): void }).unref()
  return {
    note: (kind, pid, alive) => void shell.stdin.write(`${alive ? '+' : '-'}${kind} ${pid}\n`)
  }
}
