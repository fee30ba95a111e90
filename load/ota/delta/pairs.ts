/** The image pairs: made once from packages and kept, named by what they are made of. */
import { createHash } from 'node:crypto'
import { access, mkdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { type ChunkProfile, PROFILE_16K, PROFILE_64K } from '@ioex/node/chunks'
import { createDebian, type Debian, type DebianPackage } from './debian.ts'
import { describeFile, ext4SizeMib, makeExt4, makeSquashfs, makeTar, slim } from './images.ts'
import { unpackNodeBinary } from './node-binary.ts'
import type { Pair, PairName } from './types.ts'

export interface PairNeeds {
  /** Where packages and images are kept between runs. */
  readonly cache: string
  readonly say: (line: string) => void
}

/** Larger when the same packages give other images than before. */
const RECIPE_VERSION = 1
/** What a small device with a network runs, and what every Debian has. */
const ROOT_PACKAGES = [
  '?essential',
  '?priority(required)',
  'init',
  'openssh-server',
  'curl',
  'ca-certificates',
  'iproute2',
  'nftables',
  'wpasupplicant',
  'python3-minimal',
]
const HOTFIX = /^(openssl|libssl3(t64)?)$/
/** The pair of the measurements that the goals come from. */
const APP_VERSIONS = { old: '24.8.0', new: '24.9.0' }

interface Recipe {
  readonly what: string
  readonly old: Contents
  readonly new: Contents
  readonly profile: ChunkProfile
  readonly isCompressed: boolean
  readonly form: 'tar' | 'ext4' | 'squashfs'
}
type Contents = readonly DebianPackage[]

/** Throws when the archive has not what it takes, or a program is missing. */
export async function makePair(
  name: Exclude<PairName, 'files'>,
  { cache, say }: PairNeeds,
): Promise<Pair> {
  if (name === 'app-bin') return appPair(cache, say)
  const debian = await createDebian(cache)
  const recipe = await RECIPES[name](debian)
  const [old, fresh] = [recipe.old, recipe.new].map(versionsOf) as [string, string]
  if (old === fresh) throw new Error('the archive serves one version only of these packages now')
  const folder = join(cache, 'images', `${name}-${digestOf([RECIPE_VERSION, old, fresh].join())}`)
  if (!(await isThere(folder))) {
    say(`${name}: making ${recipe.what}`)
    await buildInto(folder, (into) => build(debian, recipe, into))
  }
  const { what, profile, isCompressed } = recipe
  const [before, after] = [join(folder, 'old'), join(folder, 'new')]
  return {
    name,
    what,
    profile,
    isCompressed,
    old: await describeFile(before),
    new: await describeFile(after),
  }
}

/** Two files of whoever runs the bench. */
export async function filePair(old: string, fresh: string): Promise<Pair> {
  return {
    name: 'files',
    what: `${old} to ${fresh}`,
    old: await describeFile(old),
    new: await describeFile(fresh),
    profile: PROFILE_64K,
    isCompressed: false,
  }
}

const RECIPES: Readonly<
  Record<Exclude<PairName, 'app-bin' | 'files'>, (debian: Debian) => Promise<Recipe>>
> = {
  'hotfix-tar': async (debian) => {
    const { old, hotfix } = await roots(debian)
    return recipeOf('a root file system, one package fixed', old, hotfix, 'tar')
  },
  'update-tar': async (debian) => {
    const { old, updated } = await roots(debian)
    return recipeOf('a root file system, all security updates', old, updated, 'tar')
  },
  'update-ext4': async (debian) => {
    const { old, updated } = await roots(debian)
    return recipeOf('a root file system, all security updates', old, updated, 'ext4')
  },
  'update-squashfs': async (debian) => {
    const { old, updated } = await roots(debian)
    return recipeOf('a root file system, all security updates', old, updated, 'squashfs')
  },
  'small-tar': async (debian) => {
    const { old, updated } = await roots(debian)
    const fixed = (one: DebianPackage) => HOTFIX.test(one.name)
    return recipeOf('OpenSSL alone', old.filter(fixed), updated.filter(fixed), 'tar')
  },
  'kernel-tar': async (debian) => {
    const { old, fresh } = await kernels(debian)
    return recipeOf(`${old.name} to ${fresh.name}`, [old], [fresh], 'tar')
  },
}

function recipeOf(what: string, old: Contents, fresh: Contents, form: Recipe['form']): Recipe {
  const isCompressed = form === 'squashfs'
  const differing = fresh.filter(
    (one) => !old.some(({ name, version }) => one.name === name && one.version === version),
  )
  return {
    what: `${what}: ${differing.length} of ${fresh.length} packages changed, as ${form}`,
    old,
    new: fresh,
    form,
    isCompressed,
    profile: isCompressed ? PROFILE_16K : PROFILE_64K,
  }
}

async function roots(debian: Debian) {
  const old = await debian.closure(ROOT_PACKAGES, 'without-updates')
  const updated = await debian.closure(ROOT_PACKAGES, 'all')
  const hotfix = old.map(
    (one) => updated.find(({ name }) => name === one.name && HOTFIX.test(name)) ?? one,
  )
  return { old, updated, hotfix }
}

/** The kernel that the archive recommends now, and the build before it of the same line. */
async function kernels(debian: Debian): Promise<{ old: DebianPackage; fresh: DebianPackage }> {
  const meta = `linux-image-cloud-${debian.architecture}`
  const fresh = (await debian.closure([meta], 'all')).find(
    ({ name }) => /^linux-image-\d/.test(name) && name.endsWith(`-cloud-${debian.architecture}`),
  )
  if (fresh === undefined) throw new Error(`the archive has no kernel behind ${meta}`)
  // linux-image-6.1.0-56-cloud-amd64: the last number is that of the build.
  const [, line = ''] = /^(linux-image-.*?)\d+(?:\+\w+)?-cloud-/.exec(fresh.name) ?? []
  const names = await debian.names(
    new RegExp(`^${RegExp.escape(line)}\\d+(\\+\\w+)?-cloud-${debian.architecture}$`),
    line,
  )
  const before = names[names.indexOf(fresh.name) - 1]
  if (before === undefined) throw new Error(`the archive has no kernel before ${fresh.name}`)
  return { old: await debian.newest(before), fresh }
}

async function build(debian: Debian, recipe: Recipe, into: string): Promise<void> {
  const folders = { old: join(into, 'old.d'), new: join(into, 'new.d') }
  await debian.unpack(recipe.old, folders.old)
  await debian.unpack(recipe.new, folders.new)
  await slim(folders.old)
  await slim(folders.new)
  const sizeMib = Math.max(await ext4SizeMib(folders.old), await ext4SizeMib(folders.new))
  for (const version of ['old', 'new'] as const) {
    const path = join(into, version)
    if (recipe.form === 'tar') await makeTar(folders[version], path)
    if (recipe.form === 'ext4') await makeExt4(folders[version], path, sizeMib)
    if (recipe.form === 'squashfs') await makeSquashfs(folders[version], path)
    await rm(folders[version], { recursive: true })
  }
}

async function appPair(cache: string, say: PairNeeds['say']): Promise<Pair> {
  const { old, new: fresh } = APP_VERSIONS
  const folder = join(cache, 'images', `app-bin-${old}-${fresh}`)
  const what = `the program of Node.js ${old} to ${fresh}`
  if (!(await isThere(folder))) {
    say(`app-bin: fetching ${what}`)
    await buildInto(folder, async (into) => {
      await unpackNodeBinary(old, into, 'old')
      await unpackNodeBinary(fresh, into, 'new')
    })
  }
  return {
    name: 'app-bin',
    what,
    old: await describeFile(join(folder, 'old')),
    new: await describeFile(join(folder, 'new')),
    profile: PROFILE_64K,
    isCompressed: false,
  }
}

/** What breaks off leaves nothing under the name. */
async function buildInto(folder: string, make: (into: string) => Promise<void>): Promise<void> {
  const into = `${folder}.making-${process.pid}`
  await mkdir(into, { recursive: true })
  try {
    await make(into)
    await rename(into, folder)
  } finally {
    await rm(into, { recursive: true, force: true })
  }
}

function versionsOf(packages: Contents): string {
  return packages.map(({ name, version }) => `${name}=${version}`).join('\n')
}

function digestOf(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 12)
}

async function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  )
}
