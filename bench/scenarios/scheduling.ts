import type { Contestant } from '../contestants.ts'
import { rowTitles } from '../load/load.ts'
import { howMeasured, rateColumns, sampleTable } from '../report.ts'
import { measureRounds } from '../rounds.ts'
import type { Sample, Scenario } from '../scenario.ts'
import { muster } from '../servers.ts'

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
const hasReusePort = major > 22 || (major === 22 && minor >= 12)
const MODES = ['rr', 'shared', 'reuseport', 'sticky'].filter((mode) => mode !== 'reuseport' || hasReusePort)
const ROWS = ['connect', 'hit'] as const
/** Connections that are opened at once to see how evenly they are distributed. */
const BALANCED = 200
const BALANCE = `Balance: ${BALANCED} connections opened at once`

export const scheduling: Scenario = {
  summary: 'balance, throughput and CPU per request of each SCHEDULING',
  defaults: { workers: 4 },
  names: MODES,
  async run(context) {
    const { workers } = context.settings
    // Connections are lost only in a reload, which is not measured here.
    const contestantOf = (mode: string): Contestant => {
      const env = { SCHEDULING: mode, REUSEPORT_LOSS: 'allow' }
      return { about: mode, shared: true, program: muster(env) }
    }
    const contestants = Object.fromEntries(context.select(MODES).map((mode) => [mode, contestantOf(mode)]))
    const balances: Sample[] = []
    const samples = await measureRounds(context, contestants, ROWS, { spread: true }, async (servers, load) => {
      for (const { running } of servers) {
        const counts = await load.balance({ url: running.url, connections: BALANCED, workers })
        const values = { fewest: Math.min(...counts), most: Math.max(...counts) }
        balances.push({ table: BALANCE, subject: running.name, values })
      }
    })
    const columns = ['fewest', 'most'].map((value) => ({ head: `${value} at one worker`, value, digits: 0 }))
    const parts = [
      `${howMeasured(context.settings)} Each connection comes from an address of its own.`,
      `### ${BALANCE}\n\n${sampleTable(balances, BALANCE, columns, 'SCHEDULING')}`,
      ...ROWS.map(
        (row) => `### ${rowTitles[row]}\n\n${sampleTable(samples, rowTitles[row], rateColumns(), 'SCHEDULING')}`
      )
    ]
    return { samples: [...samples, ...balances], report: parts.join('\n\n') }
  }
}
