import { object } from '../../../common/json-schema.ts'
import { ackOf, CommandResult, defineCommand } from '../../command.ts'
import { anyObject, argumentsOf, count, slot } from '../../command-schemas.ts'

export const diagnose = defineCommand({
  name: 'diagnose',
  summary: "shows a worker's event-loop delay, memory, CPU time, and what keeps its event loop busy",
  level: 'read',
  usage: 'diagnose SLOT',
  positional: ['slot'],
  args: argumentsOf({ slot }),
  result: object({
    slot: count,
    pid: count,
    loopDelayMs: anyObject,
    memoryBytes: anyObject,
    cpuMs: anyObject,
    active: anyObject
  }),
  example: {
    args: { slot: 0 },
    result: {
      slot: 0,
      pid: 4242,
      loopDelayMs: { mean: 0.2, p50: 0.1, p99: 1.4, max: 3.2 },
      memoryBytes: { rss: 81_264_640, heapUsed: 21_240_112 },
      cpuMs: { user: 812, system: 120 },
      active: { TCPSocketWrap: 3, Timeout: 4 }
    }
  },
  async run(context, { slot }) {
    const diagnostics = await context.diagnose(slot)
    return new CommandResult(diagnostics, { acks: [ackOf(diagnostics)] })
  }
})
