import { test } from 'node:test'
import { lockHistory, onceHistory } from '../helpers/lock-histories.ts'

/** A longer form is in test/long. */
const SIZE = 300

test('once under faults: no name is lost, and none runs twice', (t) => onceHistory(t, SIZE))

test('locks under delays: never two holders that both believe they hold it', (t) => lockHistory(t, SIZE))
