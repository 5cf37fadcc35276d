// What tsc does not compile: the page's own files go beside the compiled code that serves them.
import { chmodSync, cpSync } from 'node:fs'

cpSync('src/routes/page', 'dist/src/routes/page', { recursive: true })
chmodSync('dist/src/cli.js', 0o755)
