import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import type { ProfileFile } from '../../src/admin/command-context.ts'
import { command } from './admin.ts'
import { cleanup } from './cleanup.ts'
import { Connection } from './http.ts'
import { Deploys } from './releases.ts'
import { muster, startService } from './service.ts'

/** Each costs about as much CPU as a turn of its loop, so that shares are known, however fast the machine is. */
const WORK = `
const spin = (turns) => { let sum = 0; for (let i = 0; i < turns; i++) sum = (sum + i * 31) % 1000003; return sum }
function parseOrder(turns) { let sum = 0; for (let i = 0; i < turns; i++) sum = (sum + i * 17) % 1000003; return sum }
function priceOrder(turns) { let sum = 0; for (let i = 0; i < turns; i++) sum = (sum + i * 13) % 1000003; return sum }
function renderOrder(turns) { let sum = 0; for (let i = 0; i < turns; i++) sum = (sum + i * 11) % 1000003; return sum }`
const PLANTED = `
function auditOrder(turns) { let sum = 0; for (let i = 0; i < turns; i++) sum = (sum + i * 7) % 1000003; return sum }`
/** The trial of the two lasts until the test ends it. */
const UNDECIDED = { CANARY_ALPHA: '0.000000001', CANARY_TOLERANCE: '100' }
const routeOf = (planted: string) => `${WORK}${planted}
app.get('/order', { config: { session: false } }, async () => ({
  sum: parseOrder(160000) + priceOrder(240000) + renderOrder(320000) + spin(80000)${planted && ' + auditOrder(110000)'}
}))`

/**
 * Reloads to a release with one more function, under load, and profiles canary and control at the same time.
 * @returns the ranked functions of the comparison by the command line, one list for each run
 */
export async function rankPlantedFunction(
  t: TestContext,
  { runs, seconds }: { runs: number; seconds: number }
): Promise<{ name: string; file: string; change: number; isClear: boolean }[][]> {
  const deploys = new Deploys(t)
  deploys.deploy('1.0.0', routeOf(''))
  const service = await startService(t, { env: { REDIS: 'off', APP: deploys.app, ...UNDECIDED }, workers: 1 })
  deploys.deploy('2.0.0', routeOf(PLANTED))
  // Half of the connections for each of the two, until the test ends it.
  const reloaded = command(service, 'reload', { canary: '50%', for: '1h' })
  await service.line(({ msg }) => msg === 'trial started')
  const clients = new Clients(service.port)
  cleanup(t, () => clients.stop())
  clients.start(8)
  const rankings = []
  for (let run = 0; run < runs; run++) {
    const { body } = await command(service, 'profile', { trial: true, seconds })
    assert.equal(body.ok, true, JSON.stringify(body))
    const pathOf = (role: string) => (body.result as ProfileFile[]).find((file) => file.role === role)!.path
    const compared = await muster(service, 'profile', 'compare', pathOf('control'), pathOf('canary'), '--json')
    assert.equal(compared.code, 0, compared.stderr)
    const { result } = JSON.parse(compared.stdout) as {
      result: { functions: never[]; busy: number; busyBefore: number }
    }
    t.diagnostic(
      `run ${run}: ${result.busyBefore} and ${result.busy} busy samples, ${JSON.stringify(result.functions.slice(0, 2))}`
    )
    rankings.push(result.functions)
  }
  await command(service, 'promote')
  await reloaded
  await clients.stop()
  return rankings
}

/** Clients that open one connection after the other, so that both workers get some, and use it a few times. */
class Clients {
  readonly #port: number
  #clients: Promise<void>[] = []
  #stopping = false

  constructor(port: number) {
    this.#port = port
  }

  start(count: number): void {
    this.#clients = Array.from({ length: count }, () => this.#run())
  }

  async stop(): Promise<void> {
    this.#stopping = true
    await Promise.all(this.#clients)
  }

  async #run(): Promise<void> {
    while (!this.#stopping) {
      const connection = await Connection.open(this.#port)
      for (let i = 0; i < 5; i++) assert.equal((await connection.request('GET', '/order')).status, 200)
      connection.close()
    }
  }
}
