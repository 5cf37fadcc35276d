import { array, object } from '../../../common/json-schema.ts'
import { CommandResult, defineCommand } from '../../command.ts'
import {
  anyObject,
  argumentsOf,
  count,
  flag,
  host,
  mapOf,
  nothing,
  quarantineView,
  reloadOutcome,
  text,
  waitsFor
} from '../../command-schemas.ts'

const textOrNull = { anyOf: [text, nothing] } as const

export const status = defineCommand({
  name: 'status',
  summary: 'shows the service and its workers; workers that do not answer are missing',
  level: 'read',
  usage: 'status [--all-hosts]',
  positional: [],
  args: argumentsOf({}, { allHosts: flag('lists all hosts that share one Redis') }),
  result: object(
    {
      version: text,
      host: text,
      pid: count,
      url: text,
      folder: text,
      uptimeSeconds: count,
      generation: count,
      desired: count,
      autoscaling: {
        anyOf: [
          object({
            range: textOrNull,
            load: { type: 'number' },
            limit: textOrNull,
            last: { anyOf: [object({ at: text, from: count, to: count, why: text }), nothing] }
          }),
          nothing
        ]
      },
      scheduling: text,
      state: text,
      redis: { type: 'boolean' },
      workers: array(
        object({ slot: count, pid: count, generation: count, status: text, uptimeSeconds: count }, { waitsFor })
      ),
      quarantine: array(quarantineView),
      lastReload: { anyOf: [reloadOutcome, nothing] },
      restarts: mapOf(count)
    },
    {
      upgrade: anyObject,
      rolloutWaits: object({ seconds: count, why: text }),
      hosts: array(host),
      hostsKnown: { type: 'boolean' },
      hostsNote: text
    }
  ),
  example: {
    args: {},
    result: {
      version: '1.0.0',
      host: 'web-1',
      pid: 4240,
      url: 'http://localhost:8080',
      folder: '/srv/app',
      uptimeSeconds: 60,
      generation: 1,
      desired: 1,
      autoscaling: null,
      scheduling: 'rr',
      state: 'running',
      redis: true,
      workers: [{ slot: 0, pid: 4242, generation: 1, status: 'ready', uptimeSeconds: 59 }],
      quarantine: [],
      lastReload: null,
      restarts: { crash: 0 }
    }
  },
  async run(context, { allHosts }) {
    const [{ missing }, hosts] = await Promise.all([context.pingWorkers(), allHosts ? context.hosts() : {}])
    return new CommandResult({ ...context.status(), ...hosts }, { missing })
  }
})
