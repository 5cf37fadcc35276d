import { test } from 'node:test'
import { countUnderCuts, countUnderFaults } from '../helpers/hits.ts'
import { sizeOf } from '../helpers/sizes.ts'

const cuts = sizeOf('CUTS', 100)
const hits = sizeOf('HITS', 20_000)

test(`${cuts} lost answers of Redis cause no error: every hit is counted exactly once`, (t) => countUnderCuts(t, cuts))

test(`${hits} hits under faults: each answered one is counted exactly once, each failed one at most once`, (t) =>
  countUnderFaults(t, hits, { cuts: Math.ceil(hits / 500), workerKills: 5, redisKills: 5, reloads: 2 }))
