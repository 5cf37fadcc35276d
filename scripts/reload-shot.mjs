// Draws docs/images/reload.svg: starts a service, keeps it busy, deploys a new version with `muster reload`, and shows which release
// answered how many requests, and how many failed. Needs a build (`npm run build`).
// Usage: node scripts/reload-shot.mjs [folder for the picture]
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { Agent, get } from 'node:http'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const CLI = join(ROOT, 'dist/src/cli/muster.js')
const OUT = resolve(process.argv[2] ?? join(ROOT, 'docs/images'))
const RELEASES = ['1.0.0', '1.1.0']
const CLIENTS = 40
const PAUSE_MS = 150
const BEFORE_MS = 3000
const AFTER_MS = 3000
/** Most bars and most labels of the time axis. */
const [MAX_BARS, MAX_LABELS] = [80, 14]

/** Clients with one connection each. None sends a request again. */
class Clients {
  answers = []
  failures = []
  closed = 0
  #stopping = false

  constructor(port) {
    this.begun = performance.now()
    this.running = Promise.all(Array.from({ length: CLIENTS }, () => this.#run(port)))
  }

  async stop() {
    this.#stopping = true
    await this.running
  }

  async #run(port) {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    const sockets = new Set()
    while (!this.#stopping) {
      try {
        const { status, body } = await ask(port, agent, sockets)
        if (status !== 200) throw new Error(`status ${status}`)
        this.answers.push({ at: performance.now() - this.begun, release: JSON.parse(body).release })
      } catch (error) {
        this.failures.push(error.message)
      }
      await sleep(PAUSE_MS * (0.5 + Math.random()))
    }
    this.closed += sockets.size - 1
    agent.destroy()
  }
}

const ask = (port, agent, sockets) =>
  new Promise((done, fail) => {
    const request = get({ host: '127.0.0.1', port, agent, path: '/' }, (response) => {
      let body = ''
      response.setEncoding('utf8').on('data', (text) => (body += text))
      response.on('end', () => done({ status: response.statusCode, body }))
      response.on('error', fail)
    })
    request.on('socket', (socket) => sockets.add(socket))
    request.on('error', fail)
  })

function writeRelease(folder, version) {
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ name: 'shop', version }))
  const handler = `async () => ({ release: '${version}' })`
  const config = '{ config: { session: false, quiet: true } }'
  writeFileSync(join(folder, 'app.mjs'), `export default async (app) => void app.get('/', ${config}, ${handler})\n`)
}

/** Runs the service and the clients. @returns what the clients saw, and when the deploy began and ended */
async function run(folder) {
  writeRelease(folder, RELEASES[0])
  const env = { PATH: process.env.PATH, HOME: process.env.HOME, PORT: '0', WORKERS: '2', REDIS: 'off', RATE_LIMIT: '0' }
  const service = spawn(process.execPath, [CLI, 'start', 'app.mjs'], { cwd: folder, env, stdio: ['ignore', 'pipe', 2] })
  const exited = once(service, 'exit')
  try {
    const port = await portOf(service)
    const clients = new Clients(port)
    await sleep(BEFORE_MS)
    writeRelease(folder, RELEASES[1])
    const from = performance.now() - clients.begun
    const { stdout } = await promisify(execFile)(process.execPath, [CLI, 'reload', '--json'], { cwd: folder, env })
    const to = performance.now() - clients.begun
    if (!JSON.parse(stdout).ok) throw new Error(`the reload failed: ${stdout}`)
    await sleep(AFTER_MS)
    await clients.stop()
    return { ...clients, from, to, end: performance.now() - clients.begun }
  } finally {
    service.kill('SIGTERM')
    await exited
  }
}

async function portOf(service) {
  for await (const line of createInterface({ input: service.stdout })) {
    const { msg, url } = JSON.parse(line)
    if (msg !== 'service ready') continue
    service.stdout.resume()
    return Number(new URL(url).port)
  }
  throw new Error('the service ended')
}

const [WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM] = [920, 300, 56, 16, 64, 40]
const COLOURS = ['#58a6ff', '#56d364']

function draw({ answers, failures, closed, from, to, end }) {
  const barMs = [100, 250, 500, 1000].find((ms) => end / ms <= MAX_BARS) ?? 2000
  // Clients end in the last moments.
  const bars = Math.floor(end / barMs) - 1
  const counts = RELEASES.map((release) => {
    const perBar = new Array(bars).fill(0)
    for (const answer of answers) {
      const bar = Math.floor(answer.at / barMs)
      if (answer.release === release && bar < bars) perBar[bar]++
    }
    return perBar
  })
  const highest = Math.max(...counts[0].map((count, i) => count + counts[1][i]))
  const perSecond = 1000 / barMs
  const step = 10 ** Math.floor(Math.log10(highest * perSecond)) / 2
  const top = Math.ceil((highest * perSecond) / step) * step
  const x = (ms) => LEFT + ((WIDTH - LEFT - RIGHT) * ms) / (bars * barMs)
  const y = (rate) => HEIGHT - BOTTOM - ((HEIGHT - TOP - BOTTOM) * rate) / top
  const round = (value) => Math.round(value * 10) / 10
  const parts = []
  for (let rate = 0; rate <= top; rate += step) {
    parts.push(`<path d="M${LEFT} ${round(y(rate))}H${WIDTH - RIGHT}" stroke="#30363d"/>`)
    parts.push(`<text x="${LEFT - 8}" y="${round(y(rate)) + 4}" text-anchor="end" class="axis">${rate}</text>`)
  }
  const stepS = [1, 2, 5, 10].find((seconds) => (bars * barMs) / 1000 / seconds <= MAX_LABELS) ?? 20
  for (let s = 0; s * 1000 <= bars * barMs; s += stepS) {
    parts.push(
      `<text x="${round(x(s * 1000))}" y="${HEIGHT - BOTTOM + 18}" text-anchor="middle" class="axis">${s} s</text>`
    )
  }
  parts.push(
    `<rect x="${round(x(from))}" y="${TOP}" width="${round(x(to) - x(from))}" height="${HEIGHT - TOP - BOTTOM}" fill="#e3b341" opacity=".15"/>`,
    `<text x="${round(x((from + to) / 2))}" y="${TOP + 14}" text-anchor="middle" style="fill:#e3b341">muster reload</text>`
  )
  for (let i = 0; i < bars; i++) {
    let below = 0
    for (const [nth, colour] of COLOURS.entries()) {
      const rate = counts[nth][i] * perSecond
      if (rate > 0) {
        const width = x(barMs) - x(0) - 1
        const height = y(below) - y(below + rate)
        parts.push(
          `<rect x="${round(x(i * barMs))}" y="${round(y(below + rate))}" width="${round(width)}" height="${round(height)}" fill="${colour}"/>`
        )
      }
      below += rate
    }
  }
  const totals = RELEASES.map((release) => answers.filter((answer) => answer.release === release).length)
  const number = (value) => value.toLocaleString('en')
  const legend = RELEASES.map(
    (release, i) => `<tspan fill="${COLOURS[i]}">■</tspan> release ${release}: ${number(totals[i])} answers`
  )
  const result = `failed: ${failures.length} · connections closed: ${closed}`
  const good = failures.length + closed === 0
  writeFileSync(
    join(OUT, 'reload.svg'),
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" width="${WIDTH}" height="${HEIGHT}" role="img">
<title>Requests per second by release while muster reload replaces two workers: ${totals[0] + totals[1]} answers, ${result}</title>
<style>text{font:14px ui-sans-serif,system-ui,'Segoe UI',Roboto,Helvetica,Arial,sans-serif;fill:#e6edf3}.axis{font-size:12px;fill:#8b949e}.big{font-size:20px;font-weight:600}</style>
<rect width="100%" height="100%" rx="8" fill="#0d1117"/>
<text x="${LEFT}" y="36" class="big" style="fill:${good ? '#56d364' : '#ff7b72'}">${result}</text>
<text x="${WIDTH - RIGHT}" y="36" text-anchor="end">${legend.join('   ')}</text>
${parts.join('\n')}
<text x="${LEFT - 8}" y="${TOP - 8}" text-anchor="end" class="axis">req/s</text>
</svg>
`
  )
  console.log(`reload.svg: ${totals[0] + totals[1]} answers, ${result}`)
}

const folder = mkdtempSync(join(tmpdir(), 'muster-'))
mkdirSync(OUT, { recursive: true })
try {
  draw(await run(folder))
} finally {
  rmSync(folder, { recursive: true, force: true })
}
