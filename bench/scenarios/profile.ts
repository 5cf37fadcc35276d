import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { sendCommand } from '../../src/cli/admin-client.ts'
import { type CpuProfile, frames, selfTimes } from '../draw/cpu-profile.ts'
import { flameGraph } from '../draw/flame.ts'
import { writeImage } from '../draw/svg.ts'
import { Load, type Row, rows, rowTitles } from '../load/load.ts'
import { fixed, table } from '../report.ts'
import { BenchError, type Sample, type Scenario, type Settings } from '../scenario.ts'
import { muster, type Running, startProgram } from '../servers.ts'

const FUNCTIONS = 25

export const profile: Scenario = {
  summary: "where a worker's CPU time goes, by the service's own profile command",
  defaults: { seconds: 5, rounds: 1 },
  names: rows,
  async run(context) {
    const { settings, folder } = context
    const { url: redisUrl } = await context.redis()
    const reports: string[] = []
    const samples: Sample[] = []
    for (const row of context.select(rows)) {
      const program = { name: 'muster', ...muster() }
      const running = await startProgram(program, { workers: settings.workers, redisUrl, folder })
      const root = frames(await profileUnderLoad(running, row, settings))
      await running.stop()
      if (root.total === 0) throw new BenchError('the worker did nothing while it was profiled')
      const share = (micros: number) => (micros / root.total) * 100
      const owners = selfTimes(root, ({ category }) => category)
      const names = selfTimes(root, ({ name, category }) => `\`${name}\` | ${category}`).slice(0, FUNCTIONS)
      const lines = (times: [string, number][]) => times.map(([name, micros]) => [name, fixed(share(micros), 1)])
      const busy = fixed((root.total / settings.seconds / 1e6) * 100, 0)
      reports.push(
        `### ${rowTitles[row]}\n\nWorker 0 for ${settings.seconds} s, ${busy} % busy.`,
        table(['owner', '% of self time'], lines(owners)),
        table(['function', 'owner', '%'], lines(names), ['owner'])
      )
      const values = Object.fromEntries(owners.map(([name, micros]) => [name, share(micros)]))
      samples.push({ table: 'profile', subject: row, values })
      if (context.write)
        writeImage(`flame-${row}.svg`, flameGraph(root, `muster, ${rowTitles[row].replaceAll('`', '')}`))
    }
    return { samples, report: reports.join('\n\n') }
  }
}

async function profileUnderLoad(
  { url, runDir }: Running,
  row: Row,
  { seconds, connections }: Settings
): Promise<CpuProfile> {
  const load = new Load()
  const job = { row, url, connections, shared: true }
  try {
    await load.run({ ...job, seconds: 2 }, () => undefined)
    // The load begins before the profile and ends after it.
    const loaded = load.run({ ...job, seconds: seconds + 2 }, () => undefined)
    const [answer] = await Promise.all([
      sendCommand(join(runDir, 'admin.sock'), 'profile', { slot: 0, seconds }),
      loaded
    ])
    if (!answer.ok || !('result' in answer)) throw new BenchError(`the profile failed: ${JSON.stringify(answer)}`)
    return JSON.parse(readFileSync((answer.result as { path: string }).path, 'utf8')) as CpuProfile
  } finally {
    load.stop()
  }
}
