import { COMPARED_PAGES } from './compared-pages.ts'
import { type Block, EXAMPLES, RECIPES } from './documents.ts'

/** Pages that a test follows from the first to the last line. */
export const FOLLOWED = [
  ...RECIPES.filter((page) => !(page in COMPARED_PAGES)),
  ...EXAMPLES,
  'docs/guide/first-app.md',
  'docs/guide/other-frameworks.md'
]
/** Pages with tests of their own for every block in one of these languages. */
const OWN_TESTS: [page: string, language: string, test: string][] = [
  ['README.md', 'js', 'cluster/docs'],
  ['docs/guide/production.md', 'sh', 'cluster/guide'],
  ['docs/guide/production.md', 'json', 'cluster/guide'],
  ['docs/guide/production.md', 'ini', 'unit/docs-production'],
  ['docs/how-to/kubernetes.md', 'sh', 'unit/docs-kubernetes'],
  ['docs/reference/app-api.md', 'ts', 'unit/docs-app-api'],
  ['docs/reference/app-options.md', 'js', 'unit/docs-app-options'],
  ['docs/reference/app-options.md', '', 'unit/docs-blocks'],
  ['docs/reference/testing.md', 'js', 'http/testing-docs'],
  ['docs/explanation/histories.md', 'sh', 'long/chaos'],
  ['docs/how-to/redis.md', 'conf', 'cluster/redis-acl'],
  ['docs/how-to/several-hosts.md', 'text', 'unit/docs-hosts'],
  ['docs/how-to/drill.md', 'sh', 'unit/docs-drill'],
  ['docs/how-to/drill.md', 'json', 'unit/docs-drill'],
  ['docs/how-to/drill.md', 'markdown', 'unit/docs-drill']
]
/**
 * Blocks that no test runs, by their first line, each with the reason. Keep this list short: a block belongs here only when nothing
 * in a checkout could run it.
 */
export const EXCEPTIONS: Record<string, string> = {
  'flowchart LR': 'a picture; GitHub draws it',
  sequenceDiagram: 'a picture; GitHub draws it',
  'workers        = requests/s × CPU of a request / u': 'formulas; unit/docs-scaling computes with their code',
  'batches/s = 1 / (R + e^(−λR) / λ)': 'a formula; unit/bench tests its code',
  '/srv/app/releases/41/': 'folders; cluster/release deploys in such folders',
  'ln -sfn releases/42 /srv/app/current.new && mv -T /srv/app/current.new /srv/app/current':
    'changes /srv; cluster/release switches such a link',
  "$ for host in web-1 web-2 web-3; do ssh $host 'kill -HUP $(cat /srv/app/.run/muster.pid)' & done; wait":
    'needs hosts with ssh; long/several-hosts signals three hosts at once',
  'npx muster upgrade': 'replaces the program; cluster/upgrade gives these commands',
  'location / {': 'nginx; long/reload-behind-proxies runs one with these directives',
  "printf 'GET /livez HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n' | nc -N 127.0.0.1 8080":
    'shows what fails with nc; cluster/half-closed tests it',
  'source <(muster completion bash)                                 in ~/.bashrc':
    'changes files in the home folder; unit/completion tests the scripts',
  '14:03:21 ready on http://localhost:8080 · 2 workers · Redis 7.0 (embedded)':
    'times and addresses differ; unit/pretty-log tests the lines',
  'npm install @fastify/otel@0.21 @opentelemetry/api@1.9 @opentelemetry/sdk-trace-node@2 @opentelemetry/exporter-trace-otlp-proto@0.223':
    'installs packages of an app; compat/telemetry runs an app with them',
  'Busy samples: 7313 in A, 8120 in B.': 'shares differ; cluster/profile-files tests the lines'
}

/** @returns the test that runs or compares the block, or the reason why there is none; undefined: nothing checks it */
export function testOf(block: Block): string | undefined {
  const { page, language, code, file } = block
  const [first = ''] = code.split('\n', 1)
  const own = OWN_TESTS.find((one) => one[0] === page && one[1] === language)
  if (own) return own[2]
  if (page in COMPARED_PAGES && (file !== undefined || /^(sh|text|json)$/.test(language))) return 'unit/docs-blocks'
  if (FOLLOWED.includes(page) && (file !== undefined || /^(sh|text|json)$/.test(language)))
    return EXAMPLES.includes(page) ? 'cluster/examples' : 'cluster/followed-pages'
  if (language === 'js' && isProgram(code))
    return /\.listen\(/.test(code) ? 'cluster/followed-pages' : 'unit/docs-blocks'
  if (language === 'js') return 'http/docs-fragments'
  if (language === 'sh') return 'cluster/docs'
  if (/^(json|yaml|ts|js)$/.test(language) || isEnvironment(block)) return 'unit/docs-blocks'
  return EXCEPTIONS[first] && 'exception'
}

/** Whether the code runs by itself, and is no app that the service loads as a plugin. */
const isProgram = (code: string): boolean => /^import /m.test(code) && !/^export default/m.test(code)

/** Whether every line sets a variable. */
export const isEnvironment = ({ code }: Block): boolean =>
  code
    .trim()
    .split('\n')
    .every((line) => /^[A-Z_]+=/.test(line))
