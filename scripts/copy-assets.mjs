// What tsc does not compile: the pages' own files go beside the compiled code that serves them.
import { chmodSync, cpSync } from 'node:fs'

for (const folder of ['src/routes/page', 'src/http/pages/console'])
  cpSync(folder, `dist/${folder}`, { recursive: true })
chmodSync('dist/src/cli/muster.js', 0o755)
