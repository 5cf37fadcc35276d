import { mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { temporaryFolder } from './service.ts'

/** Releases side by side, and a link to the one that is current: as most deploys have it. */
export class Deploys {
  readonly #folder: string
  /** What APP is set to: the module behind the link. */
  readonly app: string

  constructor(t: TestContext) {
    this.#folder = temporaryFolder(t)
    this.app = join(this.#folder, 'current', 'app.mjs')
  }

  /** Makes a release current in one step. @param body of the plugin; `app` is the Fastify instance */
  deploy(name: string, body = ''): void {
    const release = join(this.#folder, name)
    mkdirSync(release, { recursive: true })
    writeFileSync(join(release, 'package.json'), JSON.stringify({ name: 'demo', version: name }))
    writeFileSync(
      join(release, 'app.mjs'),
      `export default async (app) => {
        app.get('/release', { config: { session: false } }, () => ({ release: '${name}', slot: app.worker.slot }))
        app.get('/echo', { config: { session: false } }, ({ query }) => ({ id: query.id }))
        ${body}
      }\n`
    )
    const link = join(this.#folder, 'next')
    symlinkSync(name, link)
    renameSync(link, join(this.#folder, 'current'))
  }

  remove(name: string): void {
    rmSync(join(this.#folder, name), { recursive: true })
  }
}
