import type { HostRequests } from '../../ipc/host-messages.ts'
import type { WorkerProcess } from '../workers/worker-process.ts'

/** Sends a request through a worker. Rejects when Redis is away, or no worker answers. */
export type AskHosts = <Name extends keyof HostRequests>(
  name: Name,
  args: HostRequests[Name]['args']
) => Promise<HostRequests[Name]['result']>

type Peer = Pick<WorkerProcess, 'status' | 'redisUp' | 'channel'>

/**
 * Creates a function that sends requests through a worker with a connection to Redis: the primary has none. After an error, the next
 * request goes to another worker.
 * @param peers returns the workers that serve or drain
 */
export function askThroughWorkers(peers: () => Peer[], timeoutMs: number): AskHosts {
  let errors = 0
  return async (name, args) => {
    const all = peers()
    const connected = all.filter(({ redisUp }) => redisUp)
    const ready = connected.filter(({ status }) => status === 'ready')
    const candidates = ready.length > 0 ? ready : connected
    const worker = candidates[errors % candidates.length]
    if (!worker) throw new Error(all.length > 0 ? 'Redis is away' : 'no worker is ready')
    try {
      const answer = await worker.channel.request(name, args, timeoutMs)
      if (isRefusal(answer)) throw new Error(answer.refused.message)
      return answer as never
    } catch (error) {
      errors++
      throw error
    }
  }
}

const isRefusal = (answer: unknown): answer is { refused: { message: string } } =>
  typeof answer === 'object' && answer !== null && 'refused' in answer
