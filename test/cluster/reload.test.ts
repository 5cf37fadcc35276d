import { test } from 'node:test'
import { reloadUnderLoad } from '../helpers/reload-under-load.ts'
import '../helpers/uncounted.ts'

/** test/long/reload-under-load.test.ts repeats it more often. */
const RELOADS = 5

test('a reload under load fails no request and closes no open connection', (t) => reloadUnderLoad(t, RELOADS))
