import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Cleans } from './cleanup.ts'
import { ROOT } from './documents.ts'
import { freePort } from './http.ts'
import { launchFront } from './launch-front.ts'
import { temporaryFolder } from './service.ts'

/** A reverse proxy with its configuration in deploy/proxies. */
export interface ShippedProxy {
  name: string
  program: 'nginx' | 'haproxy' | 'caddy'
  file: string
  /** How the file names the port that the proxy listens on, with `80` for its number. */
  listens: string
  /** LAME_DUCK of the services behind it, in ms. Generous, because health checks are late on a busy machine. */
  lameDuckMs: number
}

export const SHIPPED_PROXIES: ShippedProxy[] = [
  // It does not ask /readyz.
  { name: 'nginx', program: 'nginx', file: 'nginx.conf', listens: 'listen 80;', lameDuckMs: 0 },
  { name: 'HAProxy', program: 'haproxy', file: 'haproxy.cfg', listens: 'bind :80\n', lameDuckMs: 6000 },
  { name: 'Caddy', program: 'caddy', file: 'Caddyfile', listens: '\n:80 {', lameDuckMs: 6000 }
]

/**
 * Starts a proxy with its configuration as it ships, but for the ports, and a temporary folder for its files.
 * It ends with the test.
 * @param services the ports of the two services behind it
 * @returns its port
 */
export async function startShippedProxy(t: Cleans, proxy: ShippedProxy, services: [number, number]): Promise<number> {
  const folder = temporaryFolder(t)
  const port = await freePort()
  let text = readFileSync(join(ROOT, 'deploy/proxies', proxy.file), 'utf8')
  const replace = (from: string, to: string) => {
    assert.equal(text.split(from).length, 2, `${proxy.file} has ${JSON.stringify(from)} once`)
    text = text.replace(from, to)
  }
  replace(proxy.listens, proxy.listens.replace('80', String(port)))
  replace('127.0.0.1:8081', `127.0.0.1:${services[0]}`)
  replace('127.0.0.1:8082', `127.0.0.1:${services[1]}`)
  const file = join(folder, proxy.file)
  writeFileSync(file, text)
  await launchFront(t, { name: proxy.name, command: commandOf(proxy, folder, file), folder, port })
  return port
}

function commandOf({ program }: ShippedProxy, folder: string, file: string): [string, ...string[]] {
  const main = join(folder, 'main')
  switch (program) {
    case 'haproxy':
      return [program, '-db', '-f', file]
    case 'nginx':
      writeFileSync(main, nginxMain(folder, file))
      return [program, '-c', main, '-p', folder, '-e', join(folder, 'log')]
    case 'caddy':
      writeFileSync(main, `{\n\tadmin off\n}\nimport ${file}\n`)
      return [program, 'run', '--adapter', 'caddyfile', '--config', main]
  }
}

/** What /etc/nginx/nginx.conf does for the files in its conf.d. */
const nginxMain = (folder: string, file: string) => `
  ${process.getuid?.() === 0 ? 'user root;' : ''} daemon off; worker_processes 2; pid ${folder}/pid; error_log ${folder}/log;
  events { worker_connections 1024; }
  http {
    access_log off;
    client_body_temp_path ${folder}/body; proxy_temp_path ${folder}/proxy; fastcgi_temp_path ${folder}/fastcgi;
    uwsgi_temp_path ${folder}/uwsgi; scgi_temp_path ${folder}/scgi;
    include ${file};
  }`
