import { test } from 'node:test'
import { reloadUnderLoad } from '../helpers/reload-under-load.ts'
import { sizeOf } from '../helpers/sizes.ts'

const reloads = sizeOf('RELOADS', 40)

test(`${reloads} reloads under load fail no request and close no open connection`, (t) => reloadUnderLoad(t, reloads))
