import assert from 'node:assert/strict'
import { test } from 'node:test'
import { nextDeadline, plan } from '../../src/primary/policy/plan.ts'
import { isOnTrial } from '../../src/primary/policy/reduce-trial.ts'
import type { Action, Worker } from '../../src/primary/policy/types.ts'
import { isLive, isWaitedFor, lingers, recycleReasonOf, serves } from '../../src/primary/policy/types.ts'
import { Random } from '../helpers/random.ts'
import { NO_FAULTS, Simulation, type SimulationListener } from '../helpers/simulated-workers.ts'

const WALKS = 60
const STEPS = 1000
/** A hang report takes up to 1.5 s, a kill 20 ms. */
const SLACK_MS = 1600

for (let seed = 1; seed <= WALKS; seed++) {
  test(`any order of events keeps the rules, and the service settles (seed ${seed})`, () => walk(seed))
}

function walk(seed: number): void {
  const random = new Random(seed)
  const simulation = new Simulation(random.between(1, 4), random, 1 + (seed % 3))
  const rules = new Rules(simulation)
  const { scenario } = simulation
  simulation.listen(rules)
  let steps = 0
  const check = () => {
    rules.check()
    steps++
  }
  try {
    scenario.reconcile()
    simulation.run(10_000, check)
    while (steps < STEPS) {
      if (random.chance(0.01)) simulation.faultRates = randomFaultRates(random)
      if (random.chance(0.03)) scenario.handle({ type: 'reload' })
      else if (random.chance(0.02)) rules.scale(random.between(1, 6))
      else if (!simulation.step()) scenario.advance(random.between(0, 20_000))
      check()
    }
    simulation.faultRates = NO_FAULTS
    if (random.chance(0.3)) {
      rules.checkStop()
      return
    }
    // Longer than every pause and deadline, and a rollout over every slot.
    simulation.run(120_000, check)
    for (let i = 0; rules.isRecycling() && i < 100; i++) simulation.run(1000, check)
    rules.checkSettled()
    const drains = rules.checkStop()
    assert.equal(drains, scenario.state.desired, 'every worker drains')
  } catch (error) {
    const trace = rules.trace.slice(-30).join('\n')
    throw new Error(`seed ${seed}, step ${steps}: ${(error as Error).message}\nlast actions:\n${trace}`, {
      cause: error
    })
  }
}

function randomFaultRates(random: Random) {
  const sometimes = () => (random.chance(0.4) ? random.next() ** 2 : 0)
  return {
    dieAtBoot: sometimes(),
    sayCannotBoot: sometimes(),
    hangAtBoot: sometimes(),
    dieWhenReady: sometimes(),
    hangInDrain: sometimes(),
    linger: sometimes(),
    dieLingering: sometimes(),
    fallSilent: sometimes(),
    wearOut: sometimes()
  }
}

/** Invariants. They follow every action and crash, and are checked after every step. */
class Rules implements SimulationListener {
  readonly trace: string[] = []
  readonly #simulation: Simulation
  #crashes = 0
  readonly #failures = new Map<number, { inARow: number; at: number }>()
  #rollout: { generation: number; undisturbed: boolean } | undefined
  #lastGeneration = 1
  #scaledDuringRollout = false

  constructor(simulation: Simulation) {
    this.#simulation = simulation
  }

  scale(desired: number): void {
    this.#scaledDuringRollout = true
    this.#simulation.scenario.handle({ type: 'scale', desired })
  }

  crashed(worker: Worker): void {
    const { now, state } = this.#simulation.scenario
    this.trace.push(`${now}: #${worker.id} of slot ${worker.slot} dies, ${worker.status}`)
    // The control of a trial is beside the wanted workers.
    if (state.rollout?.trial?.control === worker.id) return
    this.#crashes++
    if (this.#rollout) this.#rollout.undisturbed = false
    this.#failure(worker)
  }

  #failure(worker: Worker): void {
    const { now, limits } = this.#simulation.scenario
    const stable = worker.status === 'ready' && now - worker.since >= limits.stableMs
    const inARow = stable ? 1 : (this.#failures.get(worker.slot)?.inARow ?? 0) + 1
    this.#failures.set(worker.slot, { inARow, at: now })
  }

  /** Whether a serving worker is being replaced, or an old one has not exited yet. */
  isRecycling(): boolean {
    const { state, limits, now } = this.#simulation.scenario
    return state.workers.some(
      (worker) =>
        (worker.status !== 'ready' && isWaitedFor(worker)) || recycleReasonOf(worker, limits, now) !== undefined
    )
  }

  action(action: Action): void {
    const { state, now } = this.#simulation.scenario
    this.trace.push(`${now}: ${JSON.stringify(action)} of ${state.desired}`)
    if (action.type === 'fork') this.#mayFork(action.slot, action.generation)
    if (action.type === 'examine' && this.#simulation.scenario.hung.has(action.id) && this.#rollout) {
      this.#rollout.undisturbed = false
    }
    if (action.type === 'drain' && state.phase === 'running') {
      const worker = state.workers.find((one) => one.id === action.id)!
      if (action.recycled) this.#failure(worker)
      const beside = this.#ready().some((other) => other.slot === worker.slot && other !== worker)
      assert.ok(worker.slot >= state.desired || beside, 'a worker drains, and no other one serves its slot')
    }
    if (action.type === 'drain' && isOnTrial(state)) {
      const { canary, control } = state.rollout.trial
      assert.ok(action.id !== canary && action.id !== control, 'canary or control drains before the verdict')
    }
    if (action.type === 'end-rollout') {
      assert.ok(!isOnTrial(state) || state.phase !== 'running', 'the rollout ends before the verdict')
      assert.equal(action.generation, this.#rollout?.generation ?? state.rollout?.generation, 'another rollout ends')
      this.#rollout = undefined
      this.#lastGeneration = action.generation
    }
  }

  #mayFork(slot: number, generation: number): void {
    const { state, now, limits } = this.#simulation.scenario
    assert.ok(slot < state.desired, 'a slot that is not wanted gets a worker')
    assert.ok(generation === state.generation || generation === state.rollout?.generation, 'a worker of no generation')
    const failures = this.#failures.get(slot)
    if (!failures || this.#ready().some((worker) => worker.slot === slot)) return
    const { firstMs, maxMs } = limits.backoff
    const least = failures.inARow < 2 ? 0 : Math.min(firstMs * 2 ** (failures.inARow - 2), maxMs) / 2
    assert.ok(now - failures.at >= least, `fork ${now - failures.at} ms after failure ${failures.inARow} in a row`)
  }

  check(): void {
    const { state, now, limits } = this.#simulation.scenario
    this.#followRollout()
    const live = state.workers.filter(
      (worker) => isLive(worker) && !worker.killed && !this.#simulation.bootFailures.has(worker.id)
    )
    const trial = isOnTrial(state)
    const surplus = (state.rollout ? limits.surge : 0) + Number(this.isRecycling()) + Number(trial)
    assert.ok(live.length <= state.desired + surplus, `${live.length} workers, ${state.desired} wanted`)
    for (let slot = 0; slot < state.desired; slot++) {
      const inSlot = live.filter((worker) => worker.slot === slot).length
      assert.ok(inSlot <= 1 + surplus, `${inSlot} workers in slot ${slot}`)
      const empty = !state.workers.some((worker) => worker.slot === slot && isLive(worker))
      if (empty) assert.ok(now < (state.slots[slot]?.notBefore ?? 0), `slot ${slot} is empty and nothing is done`)
    }
    if (this.#rollout?.undisturbed) {
      assert.ok(this.#ready().length >= state.desired, 'fewer workers serve because of the rollout')
    }
    const failures = ['crash', 'oom', 'hang', 'boot-failure', 'boot-timeout'] as const
    const counted = failures.reduce((sum, reason) => sum + state.restarts[reason], 0)
    assert.equal(counted, this.#crashes, 'failures counted')
    this.#checkLingering()
    this.#checkWake()
  }

  /** Rollouts follow one another, each with a higher generation. */
  #followRollout(): void {
    const { state } = this.#simulation.scenario
    if (state.rollout && state.rollout.generation !== this.#rollout?.generation) {
      assert.equal(this.#rollout, undefined, 'a rollout begins during another one')
      assert.equal(state.rollout.generation, this.#lastGeneration + 1, 'the generation of the rollout')
      this.#rollout = { generation: state.rollout.generation, undisturbed: this.#ready().length === state.desired }
      this.#scaledDuringRollout = false
    }
    if (this.#rollout && this.#scaledDuringRollout) this.#rollout.undisturbed = false
  }

  /** Nothing becomes due before the next deadline. */
  #checkWake(): void {
    const { state, now, limits } = this.#simulation.scenario
    const wake = nextDeadline(state, limits, now) ?? now + 1e9
    assert.ok(wake > now, 'the next deadline is in the past')
    const before = now + (wake - now) * 0.999
    assert.deepEqual(plan(state, limits, before), [], `due ${wake - before} ms before the next deadline`)
  }

  checkSettled(): void {
    const { state } = this.#simulation.scenario
    const slots = state.workers.map(({ slot, status }) => `${slot} ${status}`).sort()
    assert.deepEqual(
      slots,
      Array.from({ length: state.desired }, (_, slot) => `${slot} ready`)
    )
    assert.equal(state.rollout, undefined, 'the rollout is over')
  }

  /** @returns the number of actions on workers at the stop */
  checkStop(): number {
    const { scenario } = this.#simulation
    const wasRolling = scenario.state.rollout !== undefined
    assert.equal(scenario.handle({ type: 'stop' }).length, wasRolling ? 1 : 0, 'only the rollout ends')
    const { now } = scenario
    const done = scenario.handle({ type: 'port-closed' })
    while (scenario.state.workers.length > 0) assert.ok(this.#simulation.step(), 'the service never ends')
    assert.equal(this.trace.filter((line) => line.includes('"drained"')).length, 1, 'the service ends once')
    const took = scenario.now - now
    assert.ok(took <= scenario.limits.drainMs + SLACK_MS, `the stop took ${took} ms`)
    return done.length
  }

  /** More workers than allowed may linger only while the oldest are being ended. */
  #checkLingering(): void {
    const { state, limits } = this.#simulation.scenario
    const unlimited = state.workers.filter((worker) => lingers(worker) && worker.cutAt === undefined)
    assert.ok(unlimited.length <= 2 * state.desired, `${unlimited.length} workers linger`)
    const bytes = unlimited.reduce((sum, { rssBytes = 0 }) => sum + rssBytes, 0)
    assert.ok(bytes <= limits.maxLingeringBytes, `they need ${bytes} bytes`)
  }

  #ready(): Worker[] {
    return this.#simulation.scenario.state.workers.filter((worker) => serves(worker) && !worker.killed)
  }
}
