import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Cleans } from './cleanup.ts'
import { freePort } from './http.ts'
import { launchFront } from './launch-front.ts'
import { temporaryFolder } from './service.ts'

/** A reverse proxy program and its configuration. */
export interface Front {
  name: string
  program: 'nginx' | 'haproxy'
  /** Settings in which the fronts of one program differ. */
  settings: string
}

/**
 * Reverse proxies that keep their connections to the service, give them to the next request of any client, and never send a
 * request twice. Each request that they forward gets a header `X-Edge` with an id of its own.
 */
export const FRONTS: Front[] = [
  { name: 'nginx', program: 'nginx', settings: '' },
  {
    name: 'nginx that forwards bodies as they come, and odd header names',
    program: 'nginx',
    settings: 'proxy_request_buffering off; ignore_invalid_headers off; underscores_in_headers on; merge_slashes off;'
  },
  { name: 'HAProxy', program: 'haproxy', settings: '' },
  {
    name: 'HAProxy that lets invalid requests pass',
    program: 'haproxy',
    settings: 'option accept-invalid-http-request'
  }
]

const asRoot = process.getuid?.() === 0 ? 'user root;' : ''

const nginx = (folder: string, port: number, to: number, settings: string) => `
  ${asRoot} daemon off; worker_processes 1; pid ${folder}/pid; error_log ${folder}/log;
  events { worker_connections 1024; }
  http {
    access_log off; keepalive_requests 1000000; keepalive_timeout 60s;
    client_body_temp_path ${folder}/body; proxy_temp_path ${folder}/proxy; fastcgi_temp_path ${folder}/fastcgi;
    uwsgi_temp_path ${folder}/uwsgi; scgi_temp_path ${folder}/scgi;
    upstream service { server 127.0.0.1:${to}; keepalive 64; keepalive_requests 1000000; keepalive_timeout 3s; }
    server {
      listen 127.0.0.1:${port}; ${settings}
      location / {
        proxy_pass http://service; proxy_http_version 1.1; proxy_next_upstream off;
        proxy_set_header Connection ""; proxy_set_header Host $http_host; proxy_set_header X-Edge $request_id;
      }
    }
  }`

const haproxy = (_folder: string, port: number, to: number, settings: string) => `
global
  nbthread 1
  maxconn 1024
defaults
  mode http
  retries 0
  timeout connect 10s
  timeout client 60s
  timeout server 60s
  timeout http-keep-alive 60s
  http-reuse always
frontend front
  bind 127.0.0.1:${port}
  ${settings}
  http-request set-header X-Edge %[uuid]
  default_backend service
backend service
  server service 127.0.0.1:${to} pool-purge-delay 3s
`

/** Starts a reverse proxy on a free port in front of the service at `to`; it ends with the test. Resolves with its port. */
export async function startFront(t: Cleans, front: Front, to: number): Promise<number> {
  const folder = temporaryFolder(t)
  const port = await freePort()
  const file = join(folder, 'conf')
  writeFileSync(file, (front.program === 'nginx' ? nginx : haproxy)(folder, port, to, front.settings))
  const args = front.program === 'nginx' ? ['-c', file, '-p', folder, '-e', join(folder, 'log')] : ['-f', file, '-db']
  await launchFront(t, { name: front.name, command: [front.program, ...args], folder, port })
  return port
}
