import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { TestContext } from 'node:test'
import { promisify } from 'node:util'
import { type Block, blocksOf, commandsOf, ROOT } from './documents.ts'
import { startRedis } from './redis.ts'
import { CLI, cleanEnvironment, type Service, START, startService, temporaryFolder } from './service.ts'

const STARTS = /^((?:[A-Z_]+=\S+ )*)npx muster (start|dev)\b(.*)$/
const INSTALLS = /^npm install (?:-D |--save-dev )?(.*)$/

/** Makes the packages of the checkout, and the checkout as `muster-serve`, those of a folder. */
export function linkPackages(folder: string): void {
  const packages = join(folder, 'node_modules')
  mkdirSync(packages)
  for (const name of readdirSync(join(ROOT, 'node_modules'))) {
    symlinkSync(join(ROOT, 'node_modules', name), join(packages, name))
  }
  symlinkSync(ROOT, join(packages, 'muster-serve'))
}

export interface WalkthroughOptions {
  /** Environment of the service, beside that of the page. */
  env?: Record<string, string>
  workers?: number
}

/**
 * Follows a page as its reader does, in a folder that looks like the checkout without its documentation: writes the files whose
 * names its blocks have, starts its service, runs its commands, and compares what comes back with the `text` and `json` blocks.
 * In these, `…` stands for anything. Packages that the page installs must be those of the checkout. Other blocks are left to
 * other tests.
 */
export class Walkthrough {
  readonly folder: string
  readonly #t: TestContext
  readonly #options: WalkthroughOptions
  #service: Service | undefined
  /** What the last commands printed, until it is compared. */
  #output: string | undefined

  private constructor(t: TestContext, options: WalkthroughOptions) {
    this.#t = t
    this.#options = options
    this.folder = temporaryFolder(t)
    for (const name of ['examples', 'README.md']) symlinkSync(join(ROOT, name), join(this.folder, name))
    linkPackages(this.folder)
    mkdirSync(join(this.folder, '.bin'))
    const npx = `#!/bin/sh\ntest "$1" = muster && shift && exec "${process.execPath}" "${CLI}" "$@"\n`
    writeFileSync(join(this.folder, '.bin/npx'), npx, { mode: 0o755 })
    writeFileSync(join(this.folder, 'package.json'), '{"type":"module"}')
  }

  static async follow(t: TestContext, page: string, options: WalkthroughOptions = {}): Promise<Walkthrough> {
    const walkthrough = new Walkthrough(t, options)
    const blocks = blocksOf(page)
    for (const block of blocks) if (block.file !== undefined) walkthrough.#write(block.file, block.code)
    for (const block of blocks) await walkthrough.#do(block)
    return walkthrough
  }

  /** The service that the page has started. */
  get service(): Service {
    assert.ok(this.#service, 'the page starts no service')
    return this.#service
  }

  /** Runs a command in the folder. @returns what it prints */
  async run(command: string): Promise<string> {
    const here = this.#service ? command.replaceAll('localhost:8080', `127.0.0.1:${this.#service.port}`) : command
    const { stdout } = await promisify(execFile)('sh', ['-ec', here.replaceAll('curl ', 'curl -sS ')], {
      cwd: this.folder,
      env: {
        ...cleanEnvironment(),
        PATH: `${this.folder}/.bin:${dirname(process.execPath)}:${process.env.PATH}`,
        RUN_DIR: this.#service?.runDir
      }
    })
    return stdout
  }

  async #do(block: Block): Promise<void> {
    const where = `${block.page}:${block.line}`
    if (block.language === 'sh') {
      this.#output = ''
      for (const command of commandsOf(block)) await this.#command(command)
    } else if (this.#output !== undefined && /^(text|json)$/.test(block.language)) {
      const pattern = block.code
        .trim()
        .split('…')
        .map((part) => part.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&'))
        .join('[^]*')
      assert.match(this.#output.trim(), new RegExp(`^${pattern}$`), where)
      this.#output = undefined
    }
  }

  async #command(command: string): Promise<void> {
    const [, settings = '', start, rest = ''] = STARTS.exec(command) ?? []
    const [, packages] = INSTALLS.exec(command) ?? []
    if (start !== undefined) await this.#start(settings, `${start}${rest}`)
    else if (packages !== undefined) this.#installed(packages.split(' '))
    else this.#output += `${(await this.run(command)).trimEnd()}\n`
  }

  async #start(settings: string, command: string): Promise<void> {
    const { url } = await startRedis(this.#t)
    const own = Object.fromEntries([...settings.matchAll(/([A-Z_]+)=(\S+) /g)].map(([, name, value]) => [name, value]))
    this.#service = await startService(this.#t, {
      launcher: `env -C '${this.folder}'`,
      command: START.replace(/start$/, command),
      env: { REDIS_URL: url, APP: '', ...own, ...this.#options.env },
      // `muster dev` runs one worker, whatever the variables say.
      workers: command.startsWith('dev') ? 1 : (this.#options.workers ?? 2)
    })
  }

  #write(file: string, code: string): void {
    mkdirSync(dirname(join(this.folder, file)), { recursive: true })
    writeFileSync(join(this.folder, file), code)
  }

  #installed(names: string[]): void {
    // A name may have a version: connect-redis@8.
    const absent = names
      .map((name) => name.replace(/(.)@.*/, '$1'))
      .filter((name) => !existsSync(join(this.folder, 'node_modules', name)))
    assert.deepEqual(absent, [], 'no packages of the checkout')
  }
}
