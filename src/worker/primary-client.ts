import { primaryAway, tooBusy } from '../common/errors.ts'
import type { PrimaryClient } from '../http/plugins/admin/admin-routes.ts'
import { type Channel, RpcError } from '../ipc/channel.ts'
import type { AdminEvent, PrimaryRequests, ToPrimary, ToWorker, WorkerRequests } from '../ipc/messages.ts'
import type { Connections } from './connections/connections.ts'

/** Commands under way through one worker; more are refused: they share its channel with all else. */
const MOST_COMMANDS = 16
/** A command takes as long as it takes: a roll of a hundred slots may take many minutes. The longest that a timer knows. */
const WHATEVER_IT_TAKES_MS = 2 ** 31 - 1

/** The primary, as the admin plane of this worker's app sees it. */
export function primaryOf(
  channel: Channel<ToPrimary, ToWorker, PrimaryRequests, WorkerRequests>,
  connections: () => Connections
): PrimaryClient {
  const watchers = new Set<(event: AdminEvent) => void>()
  let commands = 0
  channel.on('admin-event', ({ event }) => {
    for (const watcher of watchers) watcher(event)
  })
  return {
    async command(name, args, caller, socket) {
      if (commands >= MOST_COMMANDS) throw tooBusy(`more than ${MOST_COMMANDS} commands at once`)
      const done = connections().holdForAdminRequest(socket)
      commands++
      try {
        return await channel.request('command', { name, args, caller }, WHATEVER_IT_TAKES_MS)
      } catch (error) {
        if (error instanceof RpcError) throw primaryAway(error)
        throw error
      } finally {
        commands--
        done()
      }
    },
    watch(watcher) {
      watchers.add(watcher)
      // Also for one that joins others: the answer is a status, which it needs at once.
      void channel.notify({ type: 'watch', on: true })
      return () => {
        if (watchers.delete(watcher) && watchers.size === 0) void channel.notify({ type: 'watch', on: false })
      }
    }
  }
}
