import { test } from 'node:test'
import { lockHistory, onceHistory } from '../helpers/lock-histories.ts'
import { sizeOf } from '../helpers/sizes.ts'

const names = sizeOf('ONCE_NAMES', 4000)
const grants = sizeOf('LOCK_GRANTS', 4000)

test(`once under faults, ${names} names: no name is lost, and none runs twice`, (t) => onceHistory(t, names))

test(`locks under delays, ${grants} grants: never two callers believe that they hold the lock`, (t) =>
  lockHistory(t, grants))
