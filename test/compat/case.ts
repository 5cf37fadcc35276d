import type { TestContext } from 'node:test'
import type { Page } from 'playwright-core'
import type { Service } from '../helpers/service.ts'
import type { LoadRequest } from './keep-alive-load.ts'
import type { Visitor } from './visitor.ts'

/** One plugin or framework, a small app that uses it, and what must be right about the app. */
export interface Case {
  /** Unique. The app is `apps/<name>.js` unless `app` names another file. */
  name: string
  /** Packages of test/compat/package.json that the case is about. The first one names the row of docs/compatibility.md. */
  packages: string[]
  /** Heading in docs/compatibility.md for a case that is about more than its packages. */
  title?: string
  /** Path of the app, relative to `apps`. */
  app?: string
  /** Environment of the service. */
  env?: Record<string, string>
  /** The documented line that the app or its environment needs, in Markdown. Default: it runs as it is. */
  line?: string
  /** What users should know although the app runs, in Markdown. */
  note?: string
  /** Why the case does not work, in Markdown. It is not run then. */
  why?: string
  /** Oldest major version of Node that the packages run on, when that is not the oldest one of the project. */
  since?: number
  /** Starts what the app talks to. @returns additional environment */
  prepare?(t: TestContext): Promise<Record<string, string>>
  /** A request that is repeated during the reload. Default: GET / with status 200. */
  load?: LoadRequest
  /** Number of reloads under load. Default: 1. */
  reloads?: number
  /** Checks the app from outside. Runs twice: before and after the reload. */
  check?(site: Site): Promise<void>
  /** Checks pages in Chromium. An error in the console fails the case. */
  browse?(site: Site & { page: Page }): Promise<void>
}

/** The running service, as the check of a case sees it. */
export interface Site {
  t: TestContext
  url: string
  service: Service
  /** Returns a client with no cookies yet. */
  visitor(): Visitor
}
