// Bundles what a primary and a worker load into a few files below dist/src/bundles. Node takes 0.6 ms and 60 KiB for each module that a
// process imports, and there are some 200. The modules stay beside the bundles: see loadModule in src/config/code-loading.ts.
import { readdirSync, readFileSync, rmSync } from 'node:fs'
import { join, relative, resolve } from 'node:path'
import { build } from 'esbuild'

/** The names of the bundles, and what they contain with all that it imports. */
const ENTRIES = {
  'start-command': 'src/cli/start-command.ts',
  load: 'src/config/load.ts',
  primary: 'src/primary/primary.ts',
  worker: 'src/worker/worker.ts',
  // For the npm package alone: tests of apps.
  testing: 'src/testing/index.ts'
}
const FOLDER = 'dist/src/bundles'
const OPTIONS = {
  bundle: true,
  platform: 'node',
  target: 'node20.19',
  format: 'esm',
  packages: 'external',
  outdir: FOLDER
}

const shared = await modulesOfApps()
const { metafile } = await build({
  ...OPTIONS,
  entryPoints: ENTRIES,
  splitting: true,
  sourcemap: true,
  metafile: true,
  plugins: [
    { name: 'share with apps', setup: shareWithApps },
    { name: 'keep places', setup: keepPlaces }
  ]
})
for (const name of readdirSync(FOLDER)) if (!metafile.outputs[`${FOLDER}/${name}`]) rmSync(join(FOLDER, name))

/** Returns the modules that an app imports with the package. The service must have the same instances of them, so they are not bundled. */
async function modulesOfApps() {
  const { metafile } = await build({ ...OPTIONS, entryPoints: ['src/index.ts'], metafile: true, write: false })
  const found = new Set()
  const visit = (file) => {
    if (found.has(file)) return
    found.add(file)
    for (const { path, kind, external } of metafile.inputs[file].imports) {
      if (kind === 'import-statement' && !external) visit(path)
    }
  }
  visit('src/index.ts')
  // It keeps no state, and is part of what `muster start` loads.
  found.delete('src/start.ts')
  return found
}

function shareWithApps({ onResolve }) {
  onResolve({ filter: /^\./ }, ({ path, resolveDir, kind }) => {
    const file = relative('', resolve(resolveDir, path))
    return kind !== 'entry-point' && shared.has(file) ? { path: compiled(file), external: true } : undefined
  })
}

/** Modules find files beside them by `import.meta.url`. In a bundle it becomes the URL of the module that was bundled. */
function keepPlaces({ onLoad }) {
  onLoad({ filter: /\.ts$/ }, ({ path }) => {
    const place = `new URL('${compiled(relative('', path))}', import.meta.url).href`
    return { loader: 'ts', contents: readFileSync(path, 'utf8').replaceAll('import.meta.url', place) }
  })
}

/** The path of a compiled module, from a bundle. */
function compiled(file) {
  return `../${relative('src', file).replace(/\.ts$/, '.js')}`
}
