/** Commands that end a state of the service, so that they have tests of their own. */
export const ELSEWHERE = ['stop', 'promote', 'rollback', 'upgrade', 'quarantine-lift']

/** The words of the command line and the same arguments as JSON. */
export const CALLS: Record<string, [words: string[], args: object]> = {
  status: [[], {}],
  ping: [[], {}],
  reload: [['--no-verdict'], { verdict: false }],
  promote: [[], {}],
  rollback: [[], {}],
  scale: [['2'], { workers: 2 }],
  recycle: [['0'], { slot: 0 }],
  why: [['0', '3'], { slot: 0, limit: 3 }],
  journal: [['2', '--since', '1h', '--slot', '0'], { limit: 2, since: '1h', slot: 0 }],
  audit: [['--since', '1d'], { since: '1d' }],
  config: [[], {}],
  'settings-get': [['banner'], { key: 'banner' }],
  'settings-set': [['banner', 'hello'], { key: 'banner', value: 'hello' }],
  'log-level': [['info'], { level: 'info' }],
  'cache-clear': [[], {}],
  'sessions-list': [['ada'], { user: 'ada' }],
  'sessions-end': [['ada'], { user: 'ada' }],
  profile: [['--all', '--seconds', '0.2'], { all: true, seconds: 0.2 }],
  heap: [['1'], { slot: 1 }],
  report: [['1'], { slot: 1 }],
  diagnose: [['1'], { slot: 1 }],
  'quarantine-list': [[], {}],
  'quarantine-add': [['GET /broken'], { route: 'GET /broken' }],
  'quarantine-lift': [['GET /broken'], { route: 'GET /broken' }],
  upgrade: [[], {}],
  stop: [[], {}]
}

/** Invalid arguments and the error that each transport answers. */
export const FAULTS: [name: string, words: string[], args: unknown, status: number, message: RegExp][] = [
  ['recycle', ['one'], { slot: 'one' }, 400, /^slot: must be a number from 0 to 998, not "one"$/],
  ['recycle', [], {}, 400, /^slot: missing; must be a number from 0 to 998$/],
  ['recycle', ['7'], { slot: 7 }, 404, /^slot: no worker serves 7; slots with a worker are 0, 1$/],
  [
    'reload',
    ['now'],
    { 'argument 1': 'now' },
    400,
    /^argument 1(, "now")?: unknown argument; known arguments: canary, for, verdict, force$/
  ],
  ['reload', ['--canary', '60%'], { canary: '60%' }, 400, /^canary: must be a share of new connections .*, not "60%"$/],
  ['promote', [], {}, 409, /^no reload is in progress; `muster reload` begins one$/],
  ['rollback', [], {}, 409, /^no reload is in progress; `muster reload` begins one$/],
  ['ping', ['now'], { 'argument 1': 'now' }, 400, /^argument 1(, "now")?: unknown argument; this command takes none$/],
  [
    'scale',
    ['many'],
    { workers: 'many' },
    400,
    /^workers: must be a number of workers, a change such as \+1 or -1, a range such as 2\.\.8, or auto, not "many"$/
  ],
  [
    'scale',
    ['5'],
    { workers: 5 },
    400,
    /^workers: must be a number from 1 to 4, or a change such as \+1 or -1, not 5$/
  ],
  ['why', ['--since', 'now'], { since: 'now' }, 400, /^since: must be a duration such as 10m/],
  ['why', ['--since', '2026-13-01'], { since: '2026-13-01' }, 400, /^since: there is no time 2026-13-01$/],
  ['log-level', ['loud'], { level: 'loud' }, 400, /^level: must be one of trace, .*, not "loud"$/],
  ['why', ['0', '0'], { slot: 0, limit: 0 }, 400, /^limit: must be a number from 1 to 10000, not 0$/],
  ['settings-set', ['colour', 'red'], { key: 'colour', value: 'red' }, 404, /colour/],
  ['profile', ['0', '61'], { slot: 0, seconds: 61 }, 400, /^seconds: must be a number of seconds, up to 60/],
  ['profile', ['0', '--all'], { slot: 0, all: true }, 400, /^name one of slot, all and trial: /],
  ['profile', ['--trial'], { trial: true }, 409, /^trial: no canary is compared with a control now; /],
  ['sessions-end', [], {}, 400, /^user: missing; must be the name of a user$/]
]
