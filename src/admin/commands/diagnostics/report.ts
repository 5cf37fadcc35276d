import { ackOf, CommandResult, defineCommand } from '../../command.ts'
import { argumentsOf, diagnosticFile, slot } from '../../command-schemas.ts'

export const report = defineCommand({
  name: 'report',
  summary: "writes Node's diagnostic report of a worker, without its environment: a .json file in RUN_DIR",
  level: 'control',
  usage: 'report SLOT',
  positional: ['slot'],
  args: argumentsOf({ slot }),
  result: diagnosticFile,
  example: {
    args: { slot: 0 },
    result: { slot: 0, pid: 4242, path: '/run/muster/report-0-4242-20260131T120000000Z.json', bytes: 40_960 }
  },
  async run(context, { slot }) {
    const file = await context.report(slot)
    return new CommandResult(file, { acks: [ackOf(file)] })
  }
})
