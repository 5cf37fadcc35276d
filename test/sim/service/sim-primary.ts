import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Logger } from '../../../src/common/log.ts'
import { InternalErrors } from '../../../src/primary/internal-errors.ts'
import { ConnectionRouter } from '../../../src/primary/listener/connection-router.ts'
import type { TcpHandle } from '../../../src/primary/listener/routed-connection.ts'
import { LIMITS, type Limits } from '../../../src/primary/policy/policy-limits.ts'
import { Releases } from '../../../src/primary/rollout/release.ts'
import { Rollout } from '../../../src/primary/rollout/rollout.ts'
import { Supervisor } from '../../../src/primary/workers/supervisor.ts'
import { WorkerPool } from '../../../src/primary/workers/worker-pool.ts'
import type { SimHost } from '../machine/sim-host.ts'
import type { SimNetwork } from '../machine/sim-network.ts'
import type { SimProcess } from '../machine/sim-process.ts'
import type { Behaviour } from './sim-app.ts'

export const DRAIN_MS = 20_000
const LAME_DUCK_MS = 500
const DRAIN_MARGIN_MS = 2000

/** The settings of the simulated service. */
const SIM_LIMITS: Omit<Limits, 'surge'> = {
  ...LIMITS,
  surgeBytes: 600e6,
  bootMs: 15_000,
  drainMs: DRAIN_MS + DRAIN_MARGIN_MS,
  lingerMs: 60_000,
  maxLingering: undefined,
  maxLingeringBytes: 0,
  heartbeatMs: 15_000,
  maxMemoryBytes: 200e6,
  maxRequests: 0,
  maxAgeMs: 0
}
const CANARY = { share: 0.1, maxMs: 20_000, undecided: 'continue', alpha: 0.01, tolerance: 0.2 } as const

/** The releases on disk: a folder each, and a link to the current one, which a deploy swaps. */
export class SimDisk {
  readonly folder = mkdtempSync(join(tmpdir(), 'muster-sim-'))
  #version = 0

  constructor() {
    writeFileSync(join(this.folder, 'package.json'), '{"name":"sim","version":"1.0.0"}')
    this.deploy({ boots: 'well', errors: 0 })
  }

  get exec(): string {
    return join(this.folder, 'current', 'worker.js')
  }

  deploy(behaviour: Omit<Behaviour, 'version'>): void {
    const version = ++this.#version
    const release = join(this.folder, `release-${version}`)
    mkdirSync(release)
    writeFileSync(join(release, 'worker.js'), JSON.stringify({ version, ...behaviour }))
    rmSync(join(this.folder, 'current'), { force: true })
    symlinkSync(release, join(this.folder, 'current'))
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true })
  }
}

export type SimPrimary = ReturnType<typeof createSimPrimary>

/** Builds a primary as `primary-parts.ts` does, of the same parts, on a simulated machine. To be called in its process. */
export function createSimPrimary(
  {
    host,
    network,
    process,
    disk,
    log
  }: { host: SimHost; network: SimNetwork; process: SimProcess; disk: SimDisk; log: Logger },
  { workers, surge }: { workers: number; surge: number },
  onExit: (code: string, cause: string) => void
) {
  const errors = new InternalErrors(log)
  const router = new ConnectionRouter(log)
  const releases = new Releases(disk.exec, undefined)
  const journal = () => {}
  const rollout = new Rollout({ releases, certificates: undefined, journal, log })
  const pool = new WorkerPool({
    limits: SIM_LIMITS,
    drainMs: DRAIN_MS,
    runDir: disk.folder,
    environment: ({ slot, generation }) => ({ SLOT: String(slot), GENERATION: String(generation) }),
    onPid: () => {},
    certificates: undefined,
    sharedSocket: () => undefined,
    journal,
    log,
    host
  })
  const closePort = async () => {
    await new Promise((resolve) => setImmediate(resolve))
    network.closePort()
  }
  const supervisor = new Supervisor({
    limits: { ...SIM_LIMITS, surge },
    ...{ workers, generation: 1, pool, router, releases, rollout, journal, errors, log },
    ports: { close: closePort },
    canary: { canary: CANARY, scheduling: 'rr' }
  })
  pool.serve({
    collectMetrics: () => Promise.reject(new Error('not simulated')),
    runCommand: () => Promise.reject(new Error('not simulated')),
    quarantine: {
      orders: () => ({ routes: [], samples: false, traces: false }),
      addSamples() {},
      grantsProbe: () => false,
      probeEnded() {}
    },
    watch: () => {}
  })
  supervisor.once('exit', onExit)
  network.acceptor = { process, accept: (handle) => router.accept(handle as unknown as TcpHandle) }
  supervisor.reconcile()
  const stop = async () => {
    supervisor.handle({ type: 'stop' })
    await sleep(LAME_DUCK_MS)
    await Promise.race([supervisor.closePort(), sleep(DRAIN_MS)])
    supervisor.handle({ type: 'port-closed' })
  }
  return { supervisor, pool, router, errors, stop }
}

const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms))
