import { ackOf, CommandResult, defineCommand } from '../../command.ts'
import { argumentsOf, slot, worker } from '../../command-schemas.ts'

export const recycle = defineCommand({
  name: 'recycle',
  summary: 'replaces the worker of a slot: a new one serves, then the old one drains',
  level: 'control',
  usage: 'recycle SLOT',
  positional: ['slot'],
  args: argumentsOf({ slot }),
  result: worker,
  example: { args: { slot: 0 }, result: { slot: 0, pid: 4250 } },
  async run(context, args) {
    const { slot, pid } = await context.recycle(args.slot)
    return new CommandResult({ slot, pid }, { acks: [ackOf({ slot, pid })] })
  }
})
