import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { contentAttacks } from './content.ts'
import { metadataAttacks } from './metadata.ts'
import { withstand } from './scene.ts'

const attacks = [...metadataAttacks, ...contentAttacks]

describe('a device withstands', () => {
  for (const attack of attacks) {
    const { outcome, reason, refusal } = attack.verdict
    const code = [outcome, reason, refusal].filter((part) => part !== undefined).join(', ')
    test(`${attack.name} (${code})`, () => withstand(attack))
  }

  test('as many as it promises, each under a name of its own', () => {
    assert.ok(attacks.length >= 24, `${attacks.length} attacks`)
    assert.equal(new Set(attacks.map(({ name }) => name)).size, attacks.length)
  })
})
