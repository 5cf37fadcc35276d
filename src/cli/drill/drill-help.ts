import { FAULTS } from '../../drill/observations.ts'
import { wrap } from '../output/table.ts'

const WIDTH = 79

/** The text of `muster drill --help`. */
export const drillHelp = (): string => `Usage: muster drill [FLAGS]

Tests your running service from outside: it sends requests, ends and stops
workers and the embedded Redis, reloads, and reports which promises hold. It
takes up to three minutes. Requests fail while it runs: never run it where
other clients need the service. Ctrl-C ends it and takes every fault back.

  --requests FILE     the requests, as JSON; default: the GETs of /docs/json
  --faults NAMES      these faults only, separated by commas
  --seconds N         begins no fault that would end later; default: 180
  --max-requests N    sends no more requests than this; default: 100000
  --html FILE         also writes the report as a web page
  --json              prints the report as JSON instead of Markdown
  --force             also drills a service that other machines can reach
  --run-dir DIR       the service's RUN_DIR

${wrap(`Faults: ${FAULTS.join(', ')}.`, WIDTH).join('\n')}
Exit code: 0 no promise is broken, 1 one is broken, 2 wrong usage.

Example:   muster drill --html drill.html
`
