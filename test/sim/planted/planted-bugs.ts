/** A bug that is planted into a copy of the service. The simulator must find it. */
export interface PlantedBug {
  /** What the service does wrong. */
  name: string
  /** Path below src, without its extension. */
  file: string
  /** Text that occurs once in the file, as TypeScript and as JavaScript. */
  text: string
  replacement: string
}

/** Mistakes of the kinds that were made, or could be: something forgotten, in the wrong order, or off by one. */
export const PLANTED_BUGS: readonly PlantedBug[] = [
  {
    name: 'an exited worker stays in the state',
    file: 'primary/policy/reduce',
    text: 'workers: state.workers.filter((other) => other !== worker)',
    replacement: 'workers: state.workers'
  },
  {
    name: 'a failed rollout counts as done',
    file: 'primary/policy/reduce',
    text: 'const succeeded = rollout.failure === undefined && running',
    replacement: 'const succeeded = running'
  },
  {
    name: 'a lost control is not noticed',
    file: 'primary/policy/reduce',
    text: 'return controlLost(next, event.cause, now)',
    replacement: 'return next'
  },
  {
    name: 'a slot gets one worker too many',
    file: 'primary/policy/plan',
    text: 'liveIn(state, slot).every((worker) => isFailedCandidate(state, worker))',
    replacement: 'liveIn(state, slot).length <= 1'
  },
  {
    name: 'a worker may start for ever',
    file: 'primary/policy/plan',
    text: 'return worker.since + limits.bootMs',
    replacement: 'return Number.POSITIVE_INFINITY'
  },
  {
    name: 'a trial has no end',
    file: 'primary/policy/plan-trial',
    text: 'now >= trialDeadline(state)',
    replacement: 'now >= trialDeadline(state) + 1e9'
  },
  {
    name: 'a superseded worker stays',
    file: 'primary/policy/plan-rollout',
    text: 'serves(worker) && hasProved(state, worker, limits, now)',
    replacement: 'serves(worker) && hasProved(state, worker, limits, now) && current.length > 1'
  },
  {
    name: 'all slots are replaced at once',
    file: 'primary/policy/plan-rollout',
    text: 'replaced.size >= slotsAtATime(state, limits, now) || ',
    replacement: ''
  },
  {
    name: 'the clock goes on while the primary is stalled',
    file: 'primary/health/stall-aware-clock',
    text: 'this.#stalledMs += gap',
    replacement: 'this.#stalledMs += 0 * gap'
  },
  {
    name: 'heartbeats do not reach the policy',
    file: 'primary/workers/worker-messages',
    text: "{ type: 'heartbeat', id, rssBytes, requests }",
    replacement: "{ type: 'heartbeat', id: -id, rssBytes, requests }"
  },
  {
    name: 'the pool keeps workers that have ended',
    file: 'primary/workers/worker-pool',
    text: 'this.#workers.delete(id)',
    replacement: 'this.#workers.has(id)'
  },
  {
    name: 'a hang report is forgotten',
    file: 'primary/workers/worker-pool',
    text: "{ type: 'hang-reported', id: worker.id, cause }",
    replacement: "{ type: 'hang-reported', id: worker.slot, cause }"
  },
  {
    name: 'the answers of workers are not counted',
    file: 'primary/listener/connection-router',
    text: 'unanswered - 1)',
    replacement: 'unanswered)'
  },
  {
    name: 'the primary keeps its copy of a descriptor',
    file: 'primary/listener/connection-router',
    text: 'connection.release(lost)',
    replacement: 'connection.release.bind(lost)'
  },
  {
    name: 'a rerouted connection does not wait',
    file: 'primary/listener/connection-router',
    text: 'this.#waiting.unshift(connection)',
    replacement: 'this.#waiting.indexOf(connection)'
  },
  {
    name: 'the connection of a worker that died is closed',
    file: 'ipc/transfer-protocol',
    text: "'new-died': then('waiting', 'wait')",
    replacement: "'new-died': then('done', 'release')"
  },
  {
    name: 'a connection that did not arrive is closed',
    file: 'ipc/transfer-protocol',
    text: "missing: then('waiting', 'wait')",
    replacement: "missing: then('done', 'release')"
  },
  {
    name: 'an accepted connection is offered again',
    file: 'primary/listener/connection-router',
    text: "transferStep('primary', 'passed-on', 'accepted').action",
    replacement: "'wait'"
  },
  {
    name: 'a stream is used before its primary knows',
    file: 'worker/follow-primary',
    text: 'if (!details.resume)',
    replacement: 'if (details)'
  },
  {
    name: 'two workers have a stream that was accepted',
    file: 'ipc/transfer-protocol',
    text: "accepted: then('done', 'close')",
    replacement: "accepted: then('done', 'take-back')"
  },
  {
    name: 'a stream goes on from the beginning',
    file: 'worker/transfer/event-stream-exchange',
    text: "{ 'last-event-id': this.#ids.lastId }",
    replacement: '{}'
  },
  {
    name: 'a worker leaves while connections are on their way',
    file: 'worker/connections/drain',
    text: 'return this.#registry.openCount + this.#exchanges.pending === this',
    replacement: 'return this.#registry.openCount - this.#inTransfer.size + this.#exchanges.pending <= this'
  }
]
