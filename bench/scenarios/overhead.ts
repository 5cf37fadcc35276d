import type { Contestant } from '../contestants.ts'
import { rowTitles } from '../load/load.ts'
import { howMeasured, legend, rateColumns, sampleTable } from '../report.ts'
import { measureRounds } from '../rounds.ts'
import type { Scenario } from '../scenario.ts'
import { muster } from '../servers.ts'

const preload = `--import ${new URL('../apps/unmeasured.js', import.meta.url).href}`
const NODE_OPTIONS = [process.env.NODE_OPTIONS, preload].filter(Boolean).join(' ')
const variant = (about: string, env: Record<string, string>): Contestant => {
  return { about, shared: true, program: muster(env) }
}
/** The same service with more and more observation. */
const VARIANTS = {
  neither: variant('no metrics of requests and of Redis, no line per request', { NODE_OPTIONS }),
  metrics: variant('all metrics, no line per request (`LOG_LEVEL=warn`)', {}),
  'metrics and log': variant('all metrics and a line per request, to a file', { LOG_LEVEL: 'info' })
}

export const overhead: Scenario = {
  summary: 'the cost of metrics and of the request log',
  defaults: { rounds: 20, seconds: 1 },
  async run(context) {
    const samples = await measureRounds(context, VARIANTS, ['hit'])
    const table = sampleTable(samples, rowTitles.hit, rateColumns('neither'))
    return { samples, report: [howMeasured(context.settings), legend(VARIANTS), table].join('\n\n') }
  }
}
