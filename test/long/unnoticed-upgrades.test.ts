import { test } from 'node:test'
import { sizeOf } from '../helpers/sizes.ts'
import { promisedLoad } from '../helpers/unnoticed-releases.ts'
import { upgradeUnnoticed } from '../helpers/unnoticed-upgrades.ts'

const OTHER_NODE = process.env.OTHER_NODE
/** Two of them, so that one begins while the primary before the last still waits for an upload. */
const upgrades = Math.max(2, sizeOf('UPGRADES', 10))
/** In percent of what reloads are promised for. */
const size = sizeOf('CLIENTS', 20)
const options = {
  ...promisedLoad(size / 100),
  connections: 4 * size,
  upgrades,
  transferSeconds: 0.6 * size,
  maxUpgradeMs: 10_000
}

test(`${upgrades} upgrades are noticed by no WebSocket, event stream, upload, download or keep-alive connection`, (t) =>
  upgradeUnnoticed(t, options))

test(
  `nor are ${upgrades} upgrades from one version of Node.js to another and back`,
  {
    skip: OTHER_NODE ? false : 'OTHER_NODE names no other Node.js'
  },
  (t) => upgradeUnnoticed(t, { ...options, nodes: [OTHER_NODE!, process.execPath] })
)
