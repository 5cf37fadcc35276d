// Draws the pictures of the terminal in docs/images/terminal-*.svg: starts a service on a terminal, uses it, and turns what the
// terminal shows into SVG. Needs a build (`npm run build`) and `script` of util-linux. Process ids, times and sizes differ each time.
// Usage: node scripts/terminal-shots.mjs [folder for the pictures]; PORT is the port of the service, 8080 by default
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { Agent, get } from 'node:http'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify, stripVTControlCharacters } from 'node:util'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const OUT = resolve(process.argv[2] ?? join(ROOT, 'docs/images'))
const { PORT = '8080' } = process.env
const COLUMNS = 100
const PATIENCE_MS = 60_000
const APP = `export default async function (app) {
  app.get('/todos', async () => [{ id: 1, text: 'read the guide' }])
  app.post('/todos', async (request, reply) => reply.code(201).send({ id: 2, ...request.body }))
}
`

/** A command on a terminal of its own. */
class Terminal {
  raw = ''

  constructor(command, folder) {
    const words = `stty rows 40 cols ${COLUMNS}; exec ${command}`
    const env = { PATH: `${folder}/bin:${process.env.PATH}`, HOME: process.env.HOME, TERM: 'xterm-256color', PORT }
    this.child = spawn('script', ['-qefc', words, '/dev/null'], { cwd: folder, env })
    this.closed = once(this.child, 'close')
    this.child.stdout.setEncoding('utf8').on('data', (text) => {
      this.raw += text
    })
  }

  /** Waits until what is shown after the first `from` characters matches. */
  async shows(pattern, from = 0) {
    const signal = AbortSignal.timeout(PATIENCE_MS)
    while (!pattern.test(stripVTControlCharacters(this.raw.slice(from)))) {
      await once(this.child.stdout, 'data', { signal }).catch(() => {
        throw new Error(`the terminal does not show ${pattern}:\n${this.raw}`)
      })
    }
  }
}

const COLOURS = { 31: '#ff7b72', 32: '#56d364', 33: '#e3b341', 90: '#8b949e' }
/** The sequence that sets a colour; built from text, because a literal must not contain control characters. */
const COLOUR = new RegExp(`${'\x1b'}\\[(\\d*)m`)
const [CHARACTER, LINE, MARGIN] = [8.4, 20, 16]
const escapeXml = (text) => text.replace(/[<&>]/g, (sign) => `&#${sign.charCodeAt(0)};`)

/** Turns the output of a terminal into lines: a carriage return begins a line again, `ESC [K` erases the rest of it. */
function linesOf(raw) {
  return raw
    .replaceAll('\r\n', '\n')
    .trimEnd()
    .split('\n')
    .map((line) => line.slice(line.lastIndexOf('\r') + 1).replaceAll('\x1b[K', ''))
}

/** Turns a line with colours into the inner part of an SVG text. */
function spansOf(line) {
  let colour
  // Even parts are text, odd ones are the numbers of colours.
  return line
    .split(COLOUR)
    .map((part, i) => {
      if (i % 2 === 1) colour = COLOURS[part]
      const text = i % 2 === 1 ? '' : escapeXml(part)
      return colour && text ? `<tspan fill="${colour}">${text}</tspan>` : text
    })
    .join('')
}

/** Writes a picture of lines. @param title for people who do not see the picture */
function draw(name, title, lines) {
  const width =
    Math.ceil(Math.max(...lines.map((line) => stripVTControlCharacters(line).length), 60) * CHARACTER) + 2 * MARGIN
  const height = lines.length * LINE + 2 * MARGIN
  const texts = lines.map((line, i) => `<text x="${MARGIN}" y="${MARGIN + LINE * i + 15}">${spansOf(line)}</text>`)
  writeFileSync(
    join(OUT, `terminal-${name}.svg`),
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img">
<title>${escapeXml(title)}</title>
<style>text{font:14px ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace;fill:#e6edf3;white-space:pre}</style>
<rect width="100%" height="100%" rx="8" fill="#0d1117"/>
${texts.join('\n')}
</svg>
`
  )
  console.log(`terminal-${name}.svg: ${lines.length} lines`)
}

const prompt = (command) => `\x1b[32m$\x1b[39m ${command}`

/** Runs a command and draws all that it shows. */
async function drawCommand(name, command, title, folder) {
  const terminal = new Terminal(command, folder)
  await terminal.closed
  draw(name, title, [prompt(command), ...linesOf(terminal.raw)])
}

/** Makes a folder with the app and a `muster` on the PATH. */
function makeProject() {
  const folder = join(mkdtempSync(join(tmpdir(), 'muster-')), 'shop')
  mkdirSync(join(folder, 'bin'), { recursive: true })
  writeFileSync(join(folder, 'app.mjs'), APP)
  writeVersion(folder, '1.0.0')
  symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'))
  const command = `#!/bin/sh\nexec "${process.execPath}" "${ROOT}dist/src/cli/muster.js" "$@"\n`
  writeFileSync(join(folder, 'bin/muster'), command, { mode: 0o755 })
  return folder
}

const writeVersion = (folder, version) =>
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ name: 'shop', version }))

/** Sends a request on a connection that stays open. */
const request = (url, agent) =>
  new Promise((done, fail) => {
    get(`${url}/todos`, { agent, family: 4 }, (response) => response.resume().on('end', done)).on('error', fail)
  })

/** Uses the service until the status counts requests of both workers. */
async function useBothWorkers(url, clients, folder) {
  for (;;) {
    await Promise.all(Array.from({ length: 20 }, () => request(url, clients)))
    const { stdout } = await promisify(execFile)(join(folder, 'bin/muster'), ['status', '--json'], { cwd: folder })
    if (JSON.parse(stdout).result.workers.every(({ requests }) => requests > 100)) return
  }
}

async function drawAll(folder, service) {
  await service.shows(/ready on http/)
  const [url] = /http:\/\/localhost:\d+/.exec(service.raw)
  const start = linesOf(service.raw)
  draw('start', 'muster start: ready on an address, with the number of workers and the Redis', [
    prompt('muster start app.mjs --workers 2'),
    ...start
  ])

  let from = service.raw.length
  const post = { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"text":"deploy"}' }
  for (const [path, options] of [['/todos'], ['/todos', post], ['/todos'], ['/nowhere'], ['/todos']]) {
    await (await fetch(`${url.replace('localhost', '127.0.0.1')}${path}`, options)).text()
  }
  await service.shows(/((GET|POST) [^\n]*\n[^\n]*){5}/, from)
  draw(
    'requests',
    'One line for each request: method, path, status, duration, worker',
    linesOf(service.raw.slice(from))
  )

  const clients = new Agent({ keepAlive: true })
  await Promise.all(Array.from({ length: 6 }, () => request(url, clients)))
  writeVersion(folder, '1.1.0')
  await drawCommand('reload', 'muster reload', 'muster reload: done, with the release and the connections', folder)

  await service.shows(/rollout done/)
  from = service.raw.length
  const pids = [...stripVTControlCharacters(service.raw).matchAll(/worker 1 ready .* pid (\d+)/g)]
  process.kill(Number(pids.at(-1)[1]), 'SIGSEGV')
  await service.shows(/worker 1 exited · [\s\S]*worker 1 ready[^\n]*\n/, from)
  draw('crash', 'A worker has crashed, and a new one is ready', linesOf(service.raw.slice(from)))

  await useBothWorkers(url, clients, folder)
  await drawCommand('status', 'muster status', 'muster status: the service, its workers, the last reload', folder)
  await drawCommand(
    'why',
    'muster why --slot 1',
    'muster why: the history of the worker of slot 1, its crash in red',
    folder
  )
}

const folder = makeProject()
mkdirSync(OUT, { recursive: true })
const service = new Terminal('muster start app.mjs --workers 2', folder)
try {
  await drawAll(folder, service)
} finally {
  await new Terminal('muster stop', folder).closed
  await service.closed
  rmSync(join(folder, '..'), { recursive: true, force: true })
}
