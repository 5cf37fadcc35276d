import { ackOf, CommandResult, defineCommand } from '../../command.ts'
import { argumentsOf, diagnosticFile, slot } from '../../command-schemas.ts'

/** V8 stops a process for seconds while it takes a snapshot, so another worker serves in its place first. */
export const heap = defineCommand({
  name: 'heap',
  summary: 'replaces the worker of a slot; the old one drains and writes a .heapsnapshot file in RUN_DIR',
  level: 'control',
  usage: 'heap SLOT',
  positional: ['slot'],
  args: argumentsOf({ slot }),
  result: diagnosticFile,
  example: {
    args: { slot: 0 },
    result: { slot: 0, pid: 4242, path: '/run/muster/heap-0-4242-20260131T120000000Z.heapsnapshot', bytes: 21_340_112 }
  },
  async run(context, { slot }) {
    const file = await context.heapSnapshot(slot)
    return new CommandResult(file, { acks: [ackOf(file)] })
  }
})
