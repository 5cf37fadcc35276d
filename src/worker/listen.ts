import { listenError } from '../common/errors.ts'
import type { Logger } from '../common/log.ts'
import type { Config } from '../config/load.ts'
import type { Channel } from '../ipc/channel.ts'
import type { PrimaryRequests, ToPrimary, ToWorker, WorkerRequests } from '../ipc/messages.ts'
import type { PortHandle } from './connections/connection.ts'
import type { Connections } from './connections/connections.ts'

type PortChannel = Pick<Channel<ToPrimary, ToWorker, PrimaryRequests, WorkerRequests>, 'on' | 'notify'>

/**
 * Begins to take connections, the way SCHEDULING says: from the primary, from the socket that all share, or from one
 * of this worker's own.
 * @throws StartupError
 */
export async function listen(
  config: Config,
  connections: Connections,
  channel: PortChannel,
  log: Logger
): Promise<void> {
  const { scheduling, host, port } = config
  try {
    switch (scheduling) {
      case 'rr':
      case 'sticky':
        connections.startInjected()
        return
      case 'shared':
        connections.startShared(await sharedPort(channel), (status) =>
          log.error({ status }, 'a connection could not be accepted')
        )
        return
      case 'reuseport':
        await connections.startReusePort(port, host)
        return
    }
  } catch (error) {
    throw listenError(error as NodeJS.ErrnoException, host, port)
  }
}

function sharedPort(channel: PortChannel): Promise<PortHandle> {
  return new Promise((resolve, reject) => {
    channel.on('port', (_message, handle) => {
      if (handle) resolve(handle as PortHandle)
      else reject(new Error('the primary has sent no socket'))
    })
    void channel.notify({ type: 'port' })
  })
}
