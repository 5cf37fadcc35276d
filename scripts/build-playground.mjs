// `npm run playground`: writes the playground of docs/playground as one file that needs no server. Browsers load no modules from
// files, so the modules are put into the page: those of docs/playground, and the policy of the primary as dist has it.
// Usage: node scripts/build-playground.mjs [file]
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join, posix } from 'node:path'

const PAGE = 'docs/playground'
const ENTRY = 'playground.js'
const target = process.argv[2] ?? 'dist/playground/index.html'

/** Code by path, each after those that it imports. */
const modules = new Map()
add(ENTRY)

const code = `const modules = {}\n${[...modules].map(([path, text]) => wrap(path, text)).join('\n')}`
const html = readFileSync(join(PAGE, 'index.html'), 'utf8')
  .replace(
    / *<link rel="stylesheet".*\n/,
    () => `<style>\n${readFileSync(join(PAGE, 'playground.css'), 'utf8')}</style>\n`
  )
  .replace(
    / *<script type="module".*\n/,
    () => `<script type="module">\n${code.replaceAll('</script', '<\\/script')}</script>\n`
  )
mkdirSync(dirname(target), { recursive: true })
writeFileSync(target, html)
console.log(`${target}: ${Math.round(Buffer.byteLength(html) / 1024)} KiB`)

/** @param path relative to the page; `policy/` stands for the compiled policy */
function add(path) {
  if (modules.has(path)) return
  const file = path.startsWith('policy/') ? join('dist/src/primary', path) : join(PAGE, path)
  const text = readFileSync(file, 'utf8').replace(/\n\/\/# sourceMappingURL=.*/, '')
  for (const [, specifier] of text.matchAll(/^import [^;]*? from '([^']+)'/gms)) {
    add(posix.join(posix.dirname(path), specifier))
  }
  modules.set(path, text)
}

/** Makes a function of a module, with its imports and exports as variables and properties of `modules`. */
function wrap(path, text) {
  const names = [...text.matchAll(/^export (?:const|class|(?:async )?function) (\w+)/gm)].map(([, name]) => name)
  const body = text
    .replace(/^import \{([^}]*)\} from '([^']+)';?/gm, (_, list, specifier) => {
      const from = posix.join(posix.dirname(path), specifier)
      return `const {${list.replaceAll(' as ', ': ')}} = modules['${from}']`
    })
    .replace(/^export (?=const|class|async|function)/gm, '')
    .replace(/^export \{\};?$/gm, '')
  if (/^(import|export) /m.test(body)) throw new Error(`${path}: an import or export that this script does not know`)
  return `modules['${path}'] = (() => {\n${body}\nreturn { ${names.join(', ')} }\n})()`
}
