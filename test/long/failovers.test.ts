import { test } from 'node:test'
import { countThroughFailovers } from '../helpers/exact-failovers.ts'
import { sizeOf } from '../helpers/sizes.ts'
import '../helpers/uncounted.ts'

const failovers = sizeOf('FAILOVERS', 100)

test(`replicas:1 with one replica: ${Math.ceil(failovers / 2)} failovers lose no acknowledged hit and count none twice`, (t) =>
  countThroughFailovers(t, Math.ceil(failovers / 2), 1))

test(`replicas:1 with two replicas: ${Math.floor(failovers / 2)} failovers lose no acknowledged hit and count none twice`, (t) =>
  countThroughFailovers(t, Math.floor(failovers / 2), 2))
