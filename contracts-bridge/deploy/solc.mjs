#!/usr/bin/env node
// The npm package solc (WebAssembly) behind as much of the native compiler's command line as forge uses.
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import solc from 'solc'

const options = process.argv.slice(2)
const after = (name) => options[options.indexOf(name) + 1]

function readImport(path) {
  try {
    return {
      contents: readFileSync(
        resolve(options.includes('--base-path') ? after('--base-path') : '.', path),
        'utf8',
      ),
    }
  } catch (thrown) {
    return { error: String(thrown) }
  }
}

if (options.includes('--version')) {
  const version = solc.version().replace('.Emscripten.clang', '.Linux.g++')
  process.stdout.write(`solc, the solidity compiler commandline interface\nVersion: ${version}\n`)
} else if (options.includes('--standard-json')) {
  const input = readFileSync(0, 'utf8')
  process.stdout.write(solc.compile(input, { import: readImport }))
} else {
  process.stderr.write(
    `only --version and --standard-json are known here, not ${options.join(' ')}\n`,
  )
  process.exitCode = 2
}
