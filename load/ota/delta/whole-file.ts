/** One file takes the device from one image to the other: nothing in it can be used before all of it is there. */
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Pair, Rival } from './types.ts'

const FILE = 'published.bin'
/** The window of xdelta3 into the old image; the default of 64 MiB would be less than the image. */
const XDELTA_WINDOW_BYTES = 256 * 1_024 * 1_024

interface WholeFile {
  readonly program: string
  readonly debianPackage: string
  /** Other programs of the package that are needed. */
  readonly applyProgram?: string
  readonly publishArguments: (pair: Pair, file: string) => readonly string[]
  readonly applyArguments: (pair: Pair, file: string, output: string) => readonly string[]
}

function wholeFile(way: WholeFile): Rival {
  const { program, applyProgram = program, debianPackage } = way
  return {
    programs: [...new Set([program, applyProgram])],
    debianPackage,
    publish: ({ pair, run }) => run(program, ...way.publishArguments(pair, FILE)),
    async apply({ pair, run, published }, output) {
      const cost = await run(applyProgram, ...way.applyArguments(pair, FILE, output))
      return { ...cost, fetchedBytes: (await stat(join(published, FILE))).size }
    },
  }
}

export const zstdFull = wholeFile({
  program: 'zstd',
  debianPackage: 'zstd',
  publishArguments: (pair, file) => ['-q', '-f', '-19', pair.new.path, '-o', file],
  applyArguments: (_, file, output) => ['-q', '-f', '-d', file, '-o', output],
})

export const zstdPatch = wholeFile({
  program: 'zstd',
  debianPackage: 'zstd',
  publishArguments: (pair, file) => [
    ...['-q', '-f', '-19', '--long=28', `--patch-from=${pair.old.path}`],
    ...[pair.new.path, '-o', file],
  ],
  applyArguments: (pair, file, output) => [
    ...['-q', '-f', '-d', '--long=28', `--patch-from=${pair.old.path}`],
    ...[file, '-o', output],
  ],
})

export const xdelta3 = wholeFile({
  program: 'xdelta3',
  debianPackage: 'xdelta3',
  publishArguments: (pair, file) => [
    ...['-q', '-f', '-e', '-9', '-S', 'lzma', '-B', String(XDELTA_WINDOW_BYTES)],
    ...['-s', pair.old.path, pair.new.path, file],
  ],
  applyArguments: (pair, file, output) => [
    ...['-q', '-f', '-d', '-B', String(XDELTA_WINDOW_BYTES), '-s', pair.old.path, file, output],
  ],
})

export const bsdiff = wholeFile({
  program: 'bsdiff',
  applyProgram: 'bspatch',
  debianPackage: 'bsdiff',
  publishArguments: (pair, file) => [pair.old.path, pair.new.path, file],
  applyArguments: (pair, file, output) => [pair.old.path, output, file],
})
