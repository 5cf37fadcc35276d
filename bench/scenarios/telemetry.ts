import { telemetry as installed } from '../contestants.ts'
import { rowTitles } from '../load/load.ts'
import { howMeasured, legend, rateColumns, sampleTable } from '../report.ts'
import { measureRounds } from '../rounds.ts'
import type { Scenario } from '../scenario.ts'
import { startProgram } from '../servers.ts'

const ROWS = ['hit', 'session'] as const

export const telemetry: Scenario = {
  summary: 'the cost of spans: off, none recorded, a tenth recorded, all recorded',
  defaults: { rounds: 10, seconds: 1 },
  async run(context) {
    const { workers } = context.settings
    const sink = await startProgram(
      { name: 'otlp-sink', file: './apps/otlp-sink.js' },
      { workers, redisUrl: undefined, folder: context.folder }
    )
    const variant = (about: string, env: Record<string, string>) => ({
      about,
      shared: true,
      program: installed({ OTEL_EXPORTER_OTLP_ENDPOINT: sink.url, ...env })
    })
    const on = { TELEMETRY: 'otlp', OTEL_TRACES_SAMPLER: 'parentbased_traceidratio' }
    const variants = {
      off: variant('`TELEMETRY=off`', {}),
      '0 %': variant('`TELEMETRY=otlp`, no trace is recorded', { ...on, OTEL_TRACES_SAMPLER_ARG: '0' }),
      '10 %': variant('a tenth of the traces is recorded', { ...on, OTEL_TRACES_SAMPLER_ARG: '0.1' }),
      '100 %': variant('every trace is recorded', { ...on, OTEL_TRACES_SAMPLER_ARG: '1' })
    }
    try {
      const samples = await measureRounds(context, variants, ROWS)
      const tables = ROWS.map((row) => sampleTable(samples, rowTitles[row], rateColumns('off')))
      return { samples, report: [howMeasured(context.settings), legend(variants), ...tables].join('\n\n') }
    } finally {
      await sink.stop()
    }
  }
}
