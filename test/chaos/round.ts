import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { cleanup } from '../helpers/cleanup.ts'
import { Random } from '../helpers/random.ts'
import { temporaryFolder } from '../helpers/service.ts'
import type { Round } from '../history/history-file.ts'
import type { Operation } from '../history/operations.ts'
import { Recorder } from '../history/recorder.ts'
import { Client, Gate } from './client.ts'
import { Nemesis } from './fault.ts'
import { Member } from './member.ts'
import { Scope } from './scope.ts'
import { SETUPS, type SetupName } from './setups.ts'
import { askOnce, readSettings, useCounter, useLock, useOnce, useSession, useSettings } from './workloads.ts'

/** Longer than an announcement of a setting may take, in ms. */
const CALM_MS = 5000

export interface RoundOptions {
  name: string
  setup: SetupName
  seconds: number
  seed: number
}

/** Runs two services of three workers on one Redis under load and faults. @returns the history, and the number of faults by name */
export async function runRound(options: RoundOptions): Promise<Round & { faults: Map<string, number> }> {
  const scope = new Scope()
  try {
    return await run(scope, options)
  } finally {
    await scope.end()
  }
}

async function run(scope: Scope, { name, setup, seconds, seed }: RoundOptions) {
  let lastSeed = seed
  const random = () => new Random(lastSeed++)
  const gate = new Gate()
  const {
    urls,
    env,
    faults,
    maxPauseMs = 1500,
    unconfirmed = []
  } = await SETUPS[setup](scope, (act) => gate.quietly(act))
  const socketPath = join(temporaryFolder(scope), 'history.sock')
  const recorder = new Recorder(socketPath)
  const members = await Promise.all(
    urls.map((url) => Member.start(scope, { ...env, REDIS_URL: url, HISTORY_SOCKET: socketPath }))
  )
  const clients = (purpose: string, perMember: number) =>
    members.flatMap(({ port }, m) =>
      Array.from(
        { length: perMember },
        (_, i) => new Client(`${purpose} client ${m}.${i}`, port, random(), { recorder, gate })
      )
    )
  const isOver = () => gate.isOver

  const workers = members.flatMap((member) => member.workerFaults())
  const primaries = members.flatMap((member) => member.primaryFaults())
  const lanes = [
    { faults: workers, maxPauseMs: 6000 },
    { faults: primaries, maxPauseMs: 2000 },
    { faults, maxPauseMs }
  ]
  const nemesis = new Nemesis(lanes, [random(), random(), random()])
  cleanup(scope, () => nemesis.stop())
  const onceClients = clients('once', 2)
  let sessions = 0
  const useSessions = async (some: Client[]) => {
    while (!gate.isOver) await useSession(`session-${++sessions}`, some, recorder, isOver)
  }
  const names = useOnce(onceClients, isOver)
  const load = Promise.all([
    ...clients('counter', 3).map((client) => client.repeat(10, () => useCounter(client, recorder))),
    ...clients('settings', 2).map((client) => client.repeat(60, () => useSettings(client, recorder))),
    ...clients('lock', 3).map((client) => client.repeat(30, () => useLock(client))),
    useSessions(clients('session', 3)),
    useSessions(clients('other session', 2)),
    names
  ])
  await Promise.race([sleep(seconds * 1000), load])
  await nemesis.stop()
  gate.isOver = true
  await load

  await Promise.all(members.map((member) => member.ready()))
  await sleep(CALM_MS)
  // A new connection each time, so that every worker is asked.
  for (let i = 0; i < 10; i++) {
    for (const client of clients(`late ${i}`, 1)) {
      await readSettings(client, recorder, 'copy', true)
      client.close()
    }
  }
  const [late] = clients('late', 1)
  const read = late!.begin({ process: late!.name, model: 'counter', object: 'hits', kind: 'read' })
  const { status, body } = await late!.ask('GET', '/hits')
  if (status === 200) recorder.end(read, { number: JSON.parse(body).hits })
  await readSettings(late!, recorder, 'read')
  for (const work of await names) await askOnce(late!, work, 0)
  late!.close()
  for (const client of onceClients) client.close()
  await Promise.all(members.map((member) => member.stop()))
  await recorder.close()
  const operations = recorder.operations.filter(
    (operation) => !unconfirmed.some((time) => mayBeUndone(operation, time))
  )
  return { name, operations, faults: nemesis.counts }
}

/** Whether an operation read a session or a setting within this time. */
function mayBeUndone(
  { model, kind, invokedAt, returnedAt }: Operation,
  { from, to }: { from: number; to: number }
): boolean {
  const isRead = kind === 'get' || kind === 'copy' || (kind === 'read' && model === 'settings')
  return isRead && invokedAt <= to && (returnedAt ?? to) >= from
}
