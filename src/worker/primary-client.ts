import type { Socket } from 'node:net'
import { primaryAway, tooBusy } from '../common/errors.ts'
import type { PrimaryClient } from '../http/plugins/admin/admin-routes.ts'
import { type Channel, RpcError } from '../ipc/channel.ts'
import type { AdminEvent, PrimaryRequests, ToPrimary, ToWorker, WorkerRequests } from '../ipc/messages.ts'

export type PrimaryChannel = Channel<ToPrimary, ToWorker, PrimaryRequests, WorkerRequests>

/** Concurrent admin commands through one worker; more are refused, because they share its channel with all other messages. */
const MAX_COMMANDS = 16
/** The longest timeout that a timer can have: a rollout of a hundred slots may take many minutes. */
const COMMAND_TIMEOUT_MS = 2 ** 31 - 1

/**
 * Gives the admin plane of this worker's app access to the primary.
 * @param hold marks the connection of a command as waiting, and returns a function that ends that
 */
export function createPrimaryClient(channel: PrimaryChannel, hold: (socket: Socket) => () => void): PrimaryClient {
  const watchers = new Set<(event: AdminEvent) => void>()
  let commands = 0
  channel.on('admin-event', ({ event }) => {
    for (const watcher of watchers) watcher(event)
  })
  return {
    async command(name, args, caller, socket) {
      if (commands >= MAX_COMMANDS) throw tooBusy(`more than ${MAX_COMMANDS} commands at once`)
      const release = hold(socket)
      commands++
      try {
        return await channel.request('command', { name, args, caller }, COMMAND_TIMEOUT_MS)
      } catch (error) {
        if (error instanceof RpcError) throw primaryAway(error)
        throw error
      } finally {
        commands--
        release()
      }
    },
    watch(watcher) {
      watchers.add(watcher)
      // Also for the second watcher: the primary answers with the current status, which every watcher needs at once.
      void channel.notify({ type: 'watch', on: true })
      return () => {
        if (watchers.delete(watcher) && watchers.size === 0) void channel.notify({ type: 'watch', on: false })
      }
    }
  }
}
