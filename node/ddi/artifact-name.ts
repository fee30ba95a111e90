/** What files of these kinds begin with, in Latin letters. */
const KINDS: readonly (readonly [start: string, extension: string])[] = [
  // SWUpdate's images are cpio archives (newc, crc); it skips what is not named so.
  ['070702', 'swu'],
  ['070701', 'swu'],
  ['\0ZCK1', 'zck'],
  // RAUC's bundles are squashfs images.
  ['hsqs', 'raucb'],
]

/** A file name by which stock clients know what it is: `pump-s3-1.5.0.swu`. `head`: its first bytes. */
export function artifactName(
  release: { readonly model: string; readonly version: string },
  head: Uint8Array,
): string {
  const text = Buffer.from(head).toString('latin1')
  const [, extension] = KINDS.find(([start]) => text.startsWith(start)) ?? []
  return `${release.model}-${release.version}.${extension ?? 'bin'}`
}
