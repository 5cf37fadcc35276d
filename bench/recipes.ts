import { type Case, cases } from './load/load.ts'
import { installPeer, type PeerName, peerNames, peers } from './peers.ts'
import { type Program, type Server, type ServerSettings, serverOf, startProgram } from './servers.ts'

interface Recipe {
  readonly program: Omit<Program, 'name'>
  /** Keeps its hits and sessions in Redis, so that a session must be found again by its cookie. */
  readonly shared: boolean
  readonly rows: readonly Case[]
  /** What it is, for the reader of the tables. */
  readonly about: string
}

const own = {
  bare: {
    program: { file: './apps/bare.js' },
    shared: false,
    rows: cases,
    about: 'Fastify on node:cluster, no Redis, nothing shared'
  },
  'bare-shared': {
    program: { file: './apps/bare.js', env: { SCHEDULING: 'shared' } },
    shared: false,
    rows: ['connect'],
    about: 'bare, whose workers accept by themselves: `SCHED_NONE` of node:cluster'
  },
  'by-the-book': {
    program: { file: './apps/by-the-book.js' },
    shared: true,
    rows: cases,
    about:
      'the same with @fastify/session on the pages that have one, connect-redis on ioredis, ' +
      'an INCR a request and default metrics, all at their defaults'
  },
  muster: { program: { file: '../src/main.js' }, shared: true, rows: cases, about: 'this service, at its defaults' },
  'muster-shared': {
    program: { file: '../src/main.js', env: { SCHEDULING: 'shared' } },
    shared: true,
    rows: ['connect'],
    about: 'this service with `SCHEDULING=shared`'
  }
} as const satisfies Record<string, Recipe>

export type OwnName = keyof typeof own
export type ServerName = OwnName | PeerName

/** The servers that are compared when nobody asks for others, in the order of the tables; the ratios refer to the first. */
export const ownNames = Object.keys(own) as OwnName[]
export const serverNames: readonly ServerName[] = [...ownNames, ...peerNames]

/** What a server is, for the reader of the tables. */
export const aboutOf = (name: ServerName): string => (isPeer(name) ? peers[name].about : own[name].about)
export const isShared = (name: ServerName): boolean => isPeer(name) || own[name].shared
const isPeer = (name: ServerName): name is PeerName => peerNames.some((peer) => peer === name)

/** Starts one of the servers that are compared; a peer is installed first, if it is not there yet. */
export async function startServer(
  name: ServerName,
  settings: ServerSettings,
  env: Program['env'] = {}
): Promise<Server<ServerName>> {
  const program = isPeer(name) ? installPeer(name, settings.workers) : own[name].program
  const variables = 'env' in program ? { ...program.env, ...env } : env
  const running = await startProgram({ ...program, name, env: variables }, settings)
  return serverOf(running, name, isShared(name), isPeer(name) ? cases : own[name].rows)
}
