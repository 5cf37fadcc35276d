import { writeFileSync } from 'node:fs'
import { loadavg } from 'node:os'
import { machineLine } from './machine.ts'
import { scratchFolder } from './processes.ts'
import { provideRedis } from './redis.ts'
import { BenchError, helpOf, parseFlags, type RunningRedis, type Scenario } from './scenario.ts'
import { badRelease } from './scenarios/bad-release.ts'
import { cluster } from './scenarios/cluster.ts'
import { compare } from './scenarios/compare.ts'
import { growth } from './scenarios/growth.ts'
import { latency } from './scenarios/latency.ts'
import { overhead } from './scenarios/overhead.ts'
import { profile } from './scenarios/profile.ts'
import { reload } from './scenarios/reload.ts'
import { scaling } from './scenarios/scaling.ts'
import { scheduling } from './scenarios/scheduling.ts'
import { simulate } from './scenarios/simulate.ts'
import { state } from './scenarios/state.ts'
import { telemetry } from './scenarios/telemetry.ts'

const scenarios: Readonly<Record<string, Scenario>> = {
  compare,
  growth,
  latency,
  overhead,
  telemetry,
  scheduling,
  reload,
  'bad-release': badRelease,
  state,
  scaling,
  cluster,
  simulate,
  profile
}
const DEFAULT = 'compare'
const USAGE = `npm run bench -- [scenario] [--flag value …]; without a scenario: ${DEFAULT}`
const help = () => [USAGE, ...Object.entries(scenarios).map(([name, scenario]) => helpOf(name, scenario))].join('\n\n')

async function main(argv: string[]): Promise<void> {
  const isNamed = argv[0] !== undefined && !argv[0].startsWith('-')
  const name = isNamed ? String(argv[0]) : DEFAULT
  const scenario = Object.hasOwn(scenarios, name) ? scenarios[name] : undefined
  if (!scenario) throw new BenchError(`there is no scenario ${name}\n\n${help()}`)
  const flags = parseFlags(scenario, isNamed ? argv.slice(1) : argv)
  if (flags.help) return console.log(isNamed ? helpOf(name, scenario) : help())
  const [load = 0] = loadavg()
  if (load > 0.5) console.error(`The load average is already ${load.toFixed(1)}: expect wide spreads.`)
  const folder = scratchFolder()
  let redis: Promise<RunningRedis> | undefined
  const { report, samples } = await scenario.run({
    ...flags,
    folder,
    redis: () => (redis ??= provideRedis(flags.option('redis'), folder))
  })
  console.log(`${machineLine((await redis)?.version)}\n${report}`)
  const file = flags.option('json')
  if (file !== undefined) writeFileSync(file, `${JSON.stringify({ settings: flags.settings, samples }, null, 2)}\n`)
}

main(process.argv.slice(2)).then(
  () => process.exit(0),
  (error: unknown) => {
    console.error(error instanceof BenchError ? `bench: ${error.message}` : error)
    process.exit(1)
  }
)
