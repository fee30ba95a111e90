/** Debian packages, as the archive that this machine's apt is configured for serves them now. */
import { access, mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { command } from './measured.ts'

/** A package in one version, and its file's name without the folder. */
export interface DebianPackage {
  readonly name: string
  readonly version: string
}

type Suites = 'all' | 'without-updates'

/** A release without what came after it: neither its security suite nor its updates suite. */
const WITHOUT_UPDATES = `Package: *
Pin: release n=/-(security|updates)$/
Pin-Priority: -1
`

export interface Debian {
  readonly architecture: string
  /** What an installation of these into an empty system consists of; `wanted` takes names and patterns of apt. */
  closure(wanted: readonly string[], suites: Suites): Promise<readonly DebianPackage[]>
  /** Names of packages that match, in the order of their version numbers. */
  names(pattern: RegExp, prefix: string): Promise<readonly string[]>
  newest(name: string): Promise<DebianPackage>
  /** Unpacks packages into a folder, in order; nothing of them is run. */
  unpack(packages: readonly DebianPackage[], folder: string): Promise<void>
}

/** `cache` keeps the package files. Throws when this is no Debian. */
export async function createDebian(cache: string): Promise<Debian> {
  const architecture = (await command('dpkg', ['--print-architecture'])).trim()
  const files = join(cache, 'packages')
  await mkdir(files, { recursive: true })

  const pathOf = ({ name, version }: DebianPackage): string =>
    // Colons of epochs are written so by apt.
    join(files, `${name}_${version.replaceAll(':', '%3a')}.deb`)
  const fetch = async (packages: readonly DebianPackage[]): Promise<void> => {
    const missing: DebianPackage[] = []
    for (const one of packages) if (!(await isThere(pathOf(one)))) missing.push(one)
    if (missing.length === 0) return
    const fetched = join(files, `fetching-${process.pid}`)
    await mkdir(fetched, { recursive: true })
    try {
      const names = missing.map(({ name, version }) => `${name}=${version}`)
      await command('apt-get', ['download', '-q', ...names], { cwd: fetched })
      for (const file of await readdir(fetched)) {
        // The architecture is the third part of the name.
        const [name, version] = file.split('_')
        await rename(join(fetched, file), join(files, `${name}_${version}.deb`))
      }
    } finally {
      await rm(fetched, { recursive: true, force: true })
    }
  }

  return {
    architecture,
    async closure(wanted, suites) {
      const status = join(files, 'status-of-an-empty-system')
      const preferences = join(files, 'preferences')
      await writeFile(status, '')
      await writeFile(preferences, suites === 'all' ? '' : WITHOUT_UPDATES)
      const said = await command('apt-get', [
        'install',
        '-q',
        '-y',
        '--simulate',
        '--no-install-recommends',
        ...settings({ 'Dir::State::status': status, 'Dir::Etc::Preferences': preferences }),
        ...wanted,
      ])
      const found = [...said.matchAll(/^Inst (\S+) \((\S+) /gm)]
      return found
        .map(([, name = '', version = '']) => ({ name, version }))
        .toSorted((a, b) => (a.name < b.name ? -1 : 1))
    },
    async names(pattern, prefix) {
      const all = (await command('apt-cache', ['pkgnames', prefix])).split('\n')
      const numeric = new Intl.Collator('en', { numeric: true })
      return all.filter((name) => pattern.test(name)).toSorted(numeric.compare)
    },
    async newest(name) {
      const [line = ''] = (await command('apt-cache', ['madison', name])).split('\n')
      const version = line.split('|')[1]?.trim()
      if (version === undefined) throw new Error(`the archive has no ${name}`)
      return { name, version }
    },
    async unpack(packages, folder) {
      await fetch(packages)
      await mkdir(folder, { recursive: true })
      for (const one of packages) await command('dpkg-deb', ['--extract', pathOf(one), folder])
    },
  }
}

function settings(values: Readonly<Record<string, string>>): readonly string[] {
  const own = { 'Dir::Etc::PreferencesParts': '/dev/null', 'Debug::NoLocking': '1', ...values }
  return Object.entries(own).flatMap(([name, value]) => ['-o', `${name}=${value}`])
}

async function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  )
}
