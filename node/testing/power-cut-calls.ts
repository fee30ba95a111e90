/** The calls of `node:fs` that a disk that can lose its power knows: the real one, and the same in the model. */
import fs from 'node:fs'
import type { FileHandle } from 'node:fs/promises'
import { basename, dirname, resolve } from 'node:path'
import { barrier, type Entry, newFile, newFolder } from './power-cut-model.ts'
import { type Disk, NotModelled, real, straight } from './power-cut-state.ts'

/** Handles whose changes the model follows; the cursor is used by nobody but `writeFile`. */
function follow(disk: Disk, path: string, handle: FileHandle, entry: Entry): FileHandle {
  const own = {
    read: handle.read.bind(handle) as (...given: unknown[]) => Promise<unknown>,
    write: handle.write.bind(handle),
    truncate: handle.truncate.bind(handle),
    stat: handle.stat.bind(handle) as (...given: unknown[]) => Promise<unknown>,
    readFile: handle.readFile.bind(handle) as (...given: unknown[]) => Promise<unknown>,
  }
  const file = () => {
    if (entry.kind !== 'file') throw new NotModelled('a write', path)
    return entry
  }
  const refuse = (call: string) => () => {
    throw new NotModelled(call, path)
  }
  const write = async (given: Uint8Array, position: number) => {
    const bytes = Uint8Array.from(given)
    let written: { bytes: Uint8Array } | undefined
    return disk.change(
      { kind: 'write', at: path },
      () => {
        const change = disk.bytes(file(), { offset: position, bytes })
        written = change.pending as { bytes: Uint8Array }
        return change
      },
      async () => {
        const { bytesWritten } = await own.write(bytes, 0, bytes.byteLength, position)
        if (written !== undefined) written.bytes = bytes.subarray(0, bytesWritten)
        return { bytesWritten, buffer: given }
      },
    )
  }
  const sync = () => {
    if (entry.kind === 'link') throw new NotModelled('a sync', path)
    const done = barrier(entry)
    // The barrier itself is left out: power is only ever cut here.
    return disk.change(
      { kind: 'sync', at: path },
      () => ({ done, undo: () => undefined }),
      () => Promise.resolve(),
    )
  }
  return Object.assign(handle, {
    read: async (...given: unknown[]) => {
      disk.alive()
      return own.read(...given)
    },
    stat: async (...given: unknown[]) => {
      disk.alive()
      return own.stat(...given)
    },
    readFile: async (...given: unknown[]) => {
      disk.alive()
      return own.readFile(...given)
    },
    write(given: unknown, offset: unknown, length: unknown, position: unknown) {
      if (!(given instanceof Uint8Array) || typeof offset !== 'number') return refuse('write')()
      if (typeof length !== 'number' || typeof position !== 'number') return refuse('write')()
      return write(given.subarray(offset, offset + length), position)
    },
    async writev(parts: readonly Uint8Array[], position: unknown) {
      if (typeof position !== 'number') return refuse('writev')()
      const { bytesWritten } = await write(Buffer.concat(parts), position)
      return { bytesWritten, buffers: parts }
    },
    async writeFile(content: string | Uint8Array | AsyncIterable<Uint8Array>) {
      const parts =
        typeof content === 'string' || content instanceof Uint8Array ? [content] : content
      let position = 0
      for await (const part of parts) {
        const bytes = typeof part === 'string' ? Buffer.from(part) : part
        for (let at = 0; at < bytes.byteLength; ) {
          const { bytesWritten } = await write(bytes.subarray(at), position)
          at += bytesWritten
          position += bytesWritten
        }
      }
    },
    truncate: (length = 0) =>
      disk.change(
        { kind: 'truncate', at: path },
        () => disk.bytes(file(), { length }),
        () => own.truncate(length),
      ),
    sync,
    datasync: sync,
    appendFile: refuse('appendFile'),
    createWriteStream: refuse('createWriteStream'),
  })
}

const { O_CREAT, O_TRUNC, O_EXCL, O_APPEND, O_WRONLY, O_RDWR } = fs.constants
const FLAGS: Readonly<Record<string, number>> = {
  r: 0,
  'r+': O_RDWR,
  w: O_WRONLY | O_CREAT | O_TRUNC,
  wx: O_WRONLY | O_CREAT | O_EXCL,
  'wx+': O_RDWR | O_CREAT | O_EXCL,
}

async function open(disk: Disk, given: string, flags: string | number = 'r', mode?: number) {
  const path = resolve(given)
  const bits = typeof flags === 'number' ? flags : FLAGS[flags]
  if (bits === undefined || (bits & (O_APPEND | O_TRUNC)) !== 0) throw new NotModelled('open', path)
  const there = disk.find(path)
  if (there !== undefined && (bits & O_EXCL) === 0) {
    disk.alive()
    return follow(disk, path, await real.promises.open(path, flags, mode), there)
  }
  if (there !== undefined || (bits & O_CREAT) === 0) {
    disk.alive()
    // Through a link for reading, or an error as the system words it.
    if ((bits & (O_WRONLY | O_RDWR)) !== 0 && there === undefined && real.existsSync(path))
      throw new NotModelled('open', path)
    return real.promises.open(path, flags, mode)
  }
  const file = newFile()
  const handle = await disk.change(
    { kind: 'create', at: path },
    () => disk.names(disk.parent(path), [[basename(path), file]]),
    () => real.promises.open(path, flags, mode),
    (opened) => opened.close(),
  )
  return follow(disk, path, handle, file)
}

/** Resolves to the first folder that was made, as `mkdir` does when it is recursive. */
async function mkdir(
  disk: Disk,
  given: string,
  options?: { readonly recursive?: boolean },
): Promise<string | undefined> {
  const path = resolve(given)
  const isRecursive = options?.recursive === true
  if (disk.find(path) !== undefined && isRecursive) {
    disk.alive()
    // Another call may be about to make it.
    await real.promises.mkdir(path, options)
    return undefined
  }
  const isAlone = disk.find(dirname(path)) !== undefined || !isRecursive
  const first = isAlone ? undefined : await mkdir(disk, dirname(path), options)
  await disk.change(
    { kind: 'folder', at: path },
    () => disk.names(disk.parent(path), [[basename(path), newFolder()]]),
    () => real.promises.mkdir(path),
  )
  return first ?? path
}

function remove(disk: Disk, given: string, isForced: boolean) {
  const path = resolve(given)
  if (disk.find(path) === undefined) {
    disk.alive()
    return isForced ? Promise.resolve() : real.promises.unlink(path)
  }
  if (disk.find(path)?.kind === 'folder') throw new NotModelled('removing a folder', path)
  return disk.change(
    { kind: 'remove', at: path },
    () => disk.names(disk.parent(path), [[basename(path), undefined]]),
    () => real.promises.unlink(path),
  )
}

async function rename(disk: Disk, givenFrom: string, givenTo: string) {
  const [from, to] = [resolve(givenFrom), resolve(givenTo)]
  const entry = disk.find(from)
  if (dirname(from) !== dirname(to)) throw new NotModelled('a rename between folders', to)
  if (entry === undefined) return real.promises.rename(from, to)
  const names = [
    [basename(from), undefined],
    [basename(to), entry],
  ] as const
  return disk.change(
    { kind: 'rename', at: to },
    () => disk.names(disk.parent(to), names),
    () => real.promises.rename(from, to),
  )
}

function symlink(disk: Disk, target: string, given: string) {
  const path = resolve(given)
  return disk.change(
    { kind: 'link', at: path },
    () => disk.names(disk.parent(path), [[basename(path), { kind: 'link', target }]]),
    () => real.promises.symlink(target, path),
  )
}

function writeFileSync(disk: Disk, given: string, content: string | Uint8Array) {
  const path = resolve(given)
  const bytes = typeof content === 'string' ? Buffer.from(content) : Uint8Array.from(content)
  const there = disk.find(path)
  const file = there?.kind === 'file' ? there : newFile()
  disk.changeSync(
    { kind: 'write', at: path },
    () => {
      const parts = [
        ...(there === undefined ? [disk.names(disk.parent(path), [[basename(path), file]])] : []),
        disk.bytes(file, { length: 0 }),
        disk.bytes(file, { offset: 0, bytes }),
      ]
      return { done: () => parts.forEach(({ done }) => done()) }
    },
    () => straight(() => real.writeFileSync(path, bytes)),
  )
}

function rmSync(disk: Disk, given: string, options?: { readonly recursive?: boolean }) {
  const path = resolve(given)
  if (options?.recursive === true) throw new NotModelled('rmSync', path)
  if (disk.find(path) === undefined) return straight(() => real.rmSync(path, options))
  disk.changeSync(
    { kind: 'remove', at: path },
    () => disk.names(disk.parent(path), [[basename(path), undefined]]),
    () => straight(() => real.rmSync(path, options)),
  )
}

export type Call = (disk: Disk, ...given: never[]) => unknown

export const PROMISES: Readonly<Record<string, Call>> = {
  open,
  mkdir,
  rename,
  symlink: (disk: Disk, target: string, path: string) => symlink(disk, target, path),
  unlink: (disk: Disk, path: string) => remove(disk, path, false),
  rm(
    disk: Disk,
    path: string,
    options?: { readonly force?: boolean; readonly recursive?: boolean },
  ) {
    if (options?.recursive === true) throw new NotModelled('rm', path)
    return remove(disk, path, options?.force === true)
  },
}
export const SYNC: Readonly<Record<string, Call>> = { writeFileSync, rmSync }
