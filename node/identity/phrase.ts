import { entropyToMnemonic, mnemonicToEntropy } from '@scure/bip39'
import { wordlist } from '@scure/bip39/wordlists/english.js'
import { checkSeed } from './create-identity.ts'
import { identityError } from './types.ts'

const PHRASE_WORDS = 24
/** 24 words of at most 8 letters with room for careless spacing; more is not a phrase. */
const MAX_PHRASE_LETTERS = 1024
const WORDS = new Set(wordlist)

/** 24 words (BIP-39, English) that hold the 32 bytes of the seed and an 8-bit checksum. */
export function seedToPhrase(seed: Uint8Array): string {
  checkSeed(seed)
  return entropyToMnemonic(seed, wordlist)
}

/**
 * Case and spacing do not matter. Throws phrase-invalid; the text names the position of the first word that
 * is wrong, never a word, as errors end in logs.
 */
export function phraseToSeed(phrase: string): Uint8Array {
  const normal = phrase.length > MAX_PHRASE_LETTERS ? '' : phrase.normalize('NFKD').toLowerCase()
  const words = normal.split(/\s+/).filter((word) => word !== '')
  const unknown = words.findIndex((word) => !WORDS.has(word))
  if (unknown >= 0) {
    throw identityError('phrase-invalid', `word ${unknown + 1} is not in the list of words`, {
      blame: 'caller',
      fix: `Look at word ${unknown + 1} again: it is misspelt or from another list (BIP-39, English).`,
    })
  }
  if (words.length !== PHRASE_WORDS) {
    throw identityError('phrase-invalid', `the phrase has ${words.length} words, not 24`, {
      blame: 'caller',
      fix: 'Enter all 24 words in the order in which they were written down.',
    })
  }
  try {
    return mnemonicToEntropy(words.join(' '), wordlist)
  } catch {
    // The library's error is not passed on as the cause: its text may quote the phrase.
    throw identityError('phrase-invalid', 'the words are known, but do not belong together', {
      blame: 'caller',
      fix: 'A word was taken for another, or two are swapped: compare each with the paper.',
    })
  }
}
