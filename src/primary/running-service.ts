import { isSocketPath } from '../common/errors.ts'
import type { Config } from '../config/load.ts'
import type { ServiceView } from '../ipc/messages.ts'
import type { RedisService } from './embedded-redis/redis-service.ts'
import { readySlots } from './host/systemd.ts'
import type { ListeningPorts } from './listener/listening-ports.ts'
import type { Service } from './service-types.ts'
import type { Supervisor } from './workers/supervisor.ts'

interface Parts {
  ports: ListeningPorts
  supervisor: Supervisor
  redis: RedisService
}

export function serviceOf({ ports, supervisor }: Parts): Service {
  const ready = new Promise<void>((resolve) => {
    const onChange = (view: ServiceView) => {
      if (readySlots(view) < view.desired) return
      supervisor.off('change', onChange)
      // The new view is on its way to the workers. Their answers come after it.
      void Promise.all(supervisor.pool.live().map((worker) => worker.responds())).then(() => resolve())
    }
    supervisor.on('change', onChange)
  })
  return { port: ports.numbers.port, ready, stop: () => process.kill(process.pid, 'SIGTERM') }
}

/** What a person wants to know first: where the service is, and what it uses. */
export const readyFields = (config: Config, { ports, supervisor, redis }: Parts) => ({
  url: urlOf(config, ports),
  workers: supervisor.state.desired,
  redis: redis.description
})

/** Returns the address of the service, also before its port is open, or the path of its Unix socket. */
export function urlOf({ host, tls, port }: Pick<Config, 'host' | 'tls' | 'port'>, { numbers }: ListeningPorts): string {
  if (isSocketPath(host)) return host
  const shownHost = ['0.0.0.0', '::', '127.0.0.1', '::1'].includes(host) ? 'localhost' : host
  const authority = shownHost.includes(':') ? `[${shownHost}]` : shownHost
  return `${tls ? 'https' : 'http'}://${authority}:${numbers.port ?? port}`
}
