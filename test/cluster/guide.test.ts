import assert from 'node:assert/strict'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { type Block, blocksOf, commandsOf, sectionOf } from '../helpers/documents.ts'
import { freePort } from '../helpers/http.ts'
import { pack, run } from '../helpers/package.ts'
import { missing } from '../helpers/programs.ts'
import { type Service, startService, temporaryFolder } from '../helpers/service.ts'
import { NotifySocket } from '../helpers/systemd.ts'
import { until } from '../helpers/until.ts'
import '../helpers/takes-long.ts'
import '../helpers/uncounted.ts'

const BLOCKS = blocksOf('docs/guide/production.md')
/** Node 20 needs tsx, a package for development. */
const OMIT = (process.features as { typescript?: unknown }).typescript ? ' --omit=dev' : ''
const ROOT_COMMANDS =
  /^(apt-get install -y redis-server|systemctl (daemon-reload|disable --now redis-server|(enable --now|status|reload) shop))$/

/** Follows the guide as its reader does, in a folder of its own. */
class Reader {
  readonly #t: TestContext
  readonly #tarball: string
  readonly #root: string
  readonly #port: number
  folder: string
  service: Service | undefined
  /** What the commands of the last block have printed. */
  output: string[] = []

  constructor(t: TestContext, tarball: string, port: number) {
    this.#t = t
    this.#tarball = tarball
    this.#root = temporaryFolder(t)
    this.#port = port
    this.folder = this.#root
  }

  /** Paths of the server are folders of this test. */
  path(path: string): string {
    return path.replace('/opt/shop', join(this.#root, 'opt', 'shop'))
  }

  async follow(block: Block): Promise<void> {
    const { language, code } = block
    if (language === 'json') return assert.deepEqual(this.output, code.trim().split('\n'))
    assert.equal(language, 'sh')
    this.output = []
    for (const command of commandsOf(block)) this.output.push(await this.#type(command))
  }

  async #type(command: string): Promise<string> {
    if (/^npm (start|run dev)$/.test(command)) return this.#start(command)
    if (command === 'cd shop') {
      this.folder = join(this.folder, 'shop')
      return ''
    }
    const from = this.service?.lines.length ?? 0
    const isChange = command.startsWith('sed')
    if (command === 'npm install')
      await run(this.folder, 'npm', 'pkg', 'set', `dependencies.muster-serve=file:${this.#tarball}`)
    const typed = this.path(command)
      .replace('npx muster-serve', `npx --yes --prefer-offline file:${this.#tarball}`)
      .replace(/npm (install|ci)/, 'npm $1 --prefer-offline')
      .replace('--omit=dev', OMIT)
      .replace('curl', 'curl -sS')
      .replace('localhost:8080', `127.0.0.1:${this.#port}`)
    const { stdout } = await run(this.folder, 'sh', '-ec', typed)
    if (isChange) await this.service!.line(({ msg }) => /^rollout (?!started)/.test(msg), from)
    return stdout.trim()
  }

  async #start(command: string): Promise<string> {
    this.service = await startService(this.#t, {
      command: `env -C '${this.folder}' ${command}`,
      env: { APP: '', PORT: String(this.#port) },
      workers: command === 'npm start' ? 2 : 1,
      runDir: join(this.folder, '.run')
    })
    return ''
  }

  /** Ends what runs in the first terminal. */
  async end(): Promise<void> {
    if (!this.service) return
    assert.deepEqual(await this.service.stop(), { code: 0, signal: null })
    this.service = undefined
  }
}

test('the guide to production works from its first line to the unit of systemd', async (t) => {
  const { file } = await pack(t)
  const reader = new Reader(t, file, await freePort())
  const inSection = (section: RegExp) => BLOCKS.filter((block) => section.test(sectionOf(block)))

  for (const section of [/^1/, /^2/, /^3/, /^4/]) {
    assert.notEqual(inSection(section).length, 0)
    for (const block of inSection(section)) await reader.follow(block)
    if (section.source === '^3') assert.match(reader.output[0]!, /pass 3$/m)
    if (section.source === '^4') await assertServes(reader)
    await reader.end()
  }
  await t.test('systemd', { skip: missing('systemd-notify', 'perl') }, (t) =>
    followSystemd(t, reader, inSection(/^systemd$/))
  )
})

async function assertServes({ output, service }: Reader): Promise<void> {
  const [ready, status] = output
  // The last block has three commands; the first one asks /readyz.
  assert.equal(ready, '{"status":"ok"}')
  assert.match(status!, /\b0\b.*\bready\b/)
  assert.equal(service!.lines.filter(({ msg }) => msg === 'rollout done').length, 1)
}

/** Runs what root types, but for the commands that change the system, and then the service of the unit. */
async function followSystemd(t: TestContext, reader: Reader, blocks: Block[]): Promise<void> {
  const unit = blocks.find(({ language }) => language === 'ini')!.code
  mkdirSync(join(reader.path('/opt/shop'), '..'), { recursive: true })
  for (const block of blocks.filter(({ language }) => language === 'sh')) {
    const own = commandsOf(block).filter((command) => !ROOT_COMMANDS.test(command) && !command.startsWith('curl'))
    await reader.follow({ ...block, code: own.join('\n') })
  }
  const value = (name: string) => new RegExp(`^${name}=(.*)$`, 'm').exec(unit)?.[1] ?? ''
  const systemd = await NotifySocket.open(t)
  const service = await startService(t, {
    launcher: `env -C '${reader.path(value('WorkingDirectory'))}'`,
    command: value('ExecStart').replace('/usr/bin/node', `"${process.execPath}"`),
    env: { APP: '', NODE_ENV: 'production', NOTIFY_SOCKET: systemd.path }
  })
  await until(() => systemd.states.includes('READY'), 'READY=1')
  assert.equal((await fetch(`${service.url}/readyz`)).status, 200)
  await until(() => systemd.said('STATUS').at(-1) === 'running: 2 of 2 workers ready, generation 1', 'the status')
  assert.deepEqual(await service.stop(), { code: 0, signal: null })
}
