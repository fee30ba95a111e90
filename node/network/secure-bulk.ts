import { createCipheriv } from 'node:crypto'
import { Socket } from 'node:net'
import {
  type ConnectionEncrypter,
  type MessageStream,
  serviceCapabilities,
} from '@libp2p/interface'
import { noise } from '@libp2p/noise'
import { defaultCrypto } from '@libp2p/noise/crypto'
import { Uint8ArrayList } from 'uint8arraylist'
import { concat } from '../base/index.ts'

type NoiseComponents = Parameters<ReturnType<typeof noise>>[0]

/** Pieces below this are encrypted together: a call of the cipher costs as much as copying some KiB. */
const SMALL_PIECE_BYTES = 2_048
/** Smaller messages are left to the stock code, which has a cipher without set-up costs for them. */
const BULK_MESSAGE_BYTES = 1_200
const TAG_BYTES = 16

/**
 * Noise as it is, made fit for bulk. Stock, a block leaves in six system calls and as many TCP segments: the length
 * of the message, three headers, the bytes, the tag. Here each message is one system call, and headers are one piece.
 */
export function secureBulk(): (components: NoiseComponents) => ConnectionEncrypter {
  const make = noise({
    crypto: {
      ...defaultCrypto,
      chaCha20Poly1305Encrypt(plaintext, nonce, ad, key) {
        if (plaintext instanceof Uint8Array || plaintext.byteLength < BULK_MESSAGE_BYTES) {
          return defaultCrypto.chaCha20Poly1305Encrypt(plaintext, nonce, ad, key)
        }
        const cipher = createCipheriv('chacha20-poly1305', key, nonce, { authTagLength: TAG_BYTES })
        cipher.setAAD(ad, { plaintextLength: plaintext.byteLength })
        const sealed = new Uint8ArrayList()
        for (const piece of joined(plaintext)) sealed.append(cipher.update(piece))
        cipher.final()
        sealed.append(cipher.getAuthTag())
        return sealed
      },
    },
  })
  return (components) => {
    const stock = make(components)
    return {
      protocol: stock.protocol,
      secureInbound: (connection, options) => stock.secureInbound(inOneCall(connection), options),
      secureOutbound: (connection, options) => stock.secureOutbound(inOneCall(connection), options),
      ...{ [serviceCapabilities]: ['@libp2p/connection-encryption', '@libp2p/noise'] },
    }
  }
}

/** The pieces of a message, small neighbours as one. */
function* joined(message: Uint8ArrayList): Generator<Uint8Array> {
  let small: Uint8Array[] = []
  for (const piece of message) {
    if (piece.byteLength < SMALL_PIECE_BYTES) {
      small.push(piece)
      continue
    }
    if (small.length > 0) yield concat(small)
    small = []
    yield piece
  }
  if (small.length > 0) yield concat(small)
}

/** How a TCP connection of libp2p hands a message, piece by piece, to its socket. */
interface OverSocket {
  readonly socket: Socket
  sendData(data: Uint8ArrayList): unknown
}

function isOverSocket(connection: object): connection is OverSocket {
  return (
    'socket' in connection &&
    connection.socket instanceof Socket &&
    'sendData' in connection &&
    typeof connection.sendData === 'function'
  )
}

function inOneCall(connection: MessageStream): MessageStream {
  const own: object = connection
  // A circuit has no socket; its messages go through a connection that has one.
  if (!isOverSocket(own)) return connection
  const { socket } = own
  const sendData = own.sendData.bind(own)
  own.sendData = (data) => {
    socket.cork()
    try {
      return sendData(data)
    } finally {
      socket.uncork()
    }
  }
  return connection
}
