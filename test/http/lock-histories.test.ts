import { test } from 'node:test'
import { lockHistory, onceHistory } from '../helpers/lock-histories.ts'
import '../helpers/takes-long.ts'

/** A longer form is in test/long. */
const SIZE = 300

test('once() under faults: every name runs, and none runs twice', (t) => onceHistory(t, SIZE))

test('locks under delays: never two holders at a time', (t) => lockHistory(t, SIZE))
