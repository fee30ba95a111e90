import { type FileHandle, open } from 'node:fs/promises'
import { MIB } from '@ioex/node/base'

/** Byte for byte. Throws with the place of the first difference. */
export async function requireSameFile(path: string, expected: string): Promise<void> {
  const [made, wanted] = [await open(path, 'r'), await open(expected, 'r')]
  try {
    for (let at = 0; ; at += MIB) {
      const [one, other] = [await piece(made, at), await piece(wanted, at)]
      if (!one.equals(other)) throw new Error(`the image that was made differs near byte ${at}`)
      if (one.byteLength === 0) return
    }
  } finally {
    await made.close()
    await wanted.close()
  }
}

async function piece(file: FileHandle, at: number): Promise<Buffer> {
  const buffer = Buffer.allocUnsafe(MIB)
  let got = 0
  while (got < MIB) {
    const { bytesRead } = await file.read(buffer, got, MIB - got, at + got)
    if (bytesRead === 0) break
    got += bytesRead
  }
  return buffer.subarray(0, got)
}
