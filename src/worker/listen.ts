import type { FastifyInstance } from 'fastify'
import { listenError } from '../common/errors.ts'
import type { Logger } from '../common/log.ts'
import type { Config } from '../config/load.ts'
import type { AcceptingHandle } from '../node-internals/listening-handle.ts'
import { type ListenAddress, pretendToListen } from '../node-internals/pretended-listening.ts'
import type { Acceptor } from './connections/acceptor.ts'
import type { PrimaryChannel } from './primary-client.ts'

type PortChannel = Pick<PrimaryChannel, 'on' | 'notify'>

/**
 * Starts to take connections as SCHEDULING says: from the primary, from the socket that all workers share, or from a socket
 * of this worker's own.
 * @throws StartupError
 */
export async function listen(config: Config, acceptor: Acceptor, channel: PortChannel, log: Logger): Promise<void> {
  const { scheduling, host, port } = config
  try {
    switch (scheduling) {
      case 'rr':
      case 'sticky':
        acceptor.startInjected()
        return
      case 'shared':
        acceptor.startShared(await requestPort(channel), (status) =>
          log.error({ status }, 'a connection could not be accepted')
        )
        return
      case 'reuseport':
        await acceptor.startReusePort(port, host)
        return
    }
  } catch (error) {
    throw listenError(error as NodeJS.ErrnoException, host, port)
  }
}

/**
 * Lets the app listen, whose server this process does not use to accept: runs its `onListen` hooks, and gives the app the address
 * of the service.
 */
export async function announceListening(app: FastifyInstance, address: ListenAddress): Promise<void> {
  pretendToListen(app.server, address, false)
  const { log } = app
  // Fastify logs the address for every instance; the primary has logged it once.
  app.log = log.child({}, { level: 'silent' })
  await new Promise<void>((resolve, reject) => {
    app.listen({ port: 0, host: '127.0.0.1' }, (error) => {
      app.log = log
      if (error) reject(error)
      else resolve()
    })
  })
}

/** Asks the primary for the bound socket of the port. */
function requestPort(channel: PortChannel): Promise<AcceptingHandle> {
  return new Promise((resolve, reject) => {
    channel.on('port', (_message, handle) => {
      if (handle) resolve(handle as AcceptingHandle)
      else reject(new Error('the primary has sent no socket'))
    })
    void channel.notify({ type: 'port' })
  })
}
