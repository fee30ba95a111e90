import { Alert, Code, Text } from '@mantine/core'
import type { Vendor } from '../../api/index.ts'
import { time } from '../../parts/index.ts'

const DAY_MS = 86_400_000
/** From when on a person has to be told; `ioex vendor keys` says the same. */
const RENEW_WITHIN_MS = 30 * DAY_MS

/** Who can sign in the vendor's name, plainly, and what has to be done before signatures end. */
export function Custody({ vendor }: { readonly vendor: Vendor }) {
  const isOwn = vendor.custody === 'own'
  const leftMs = vendor.renewBy === null ? undefined : Date.parse(vendor.renewBy) - Date.now()
  const isDue = isOwn && leftMs !== undefined && leftMs < RENEW_WITHIN_MS
  return (
    <>
      <Text size="sm" c="dimmed">
        {isOwn
          ? 'Your own keys sign. This gateway holds ciphertext and signatures, and cannot publish in your name.'
          : 'This gateway keeps your signing keys, encrypted, and signs for you: whoever controls it can publish in your name.'}
      </Text>
      {isDue && (
        <Alert color={leftMs < 0 ? 'red' : 'yellow'} title="Signatures have to be renewed">
          {leftMs < 0 ? 'They ended on ' : 'They end on '}
          {time(vendor.renewBy)}; from then on devices take no new release. Run{' '}
          <Code>ioex vendor keys renew</Code> where your keys are.
        </Alert>
      )}
    </>
  )
}

/** In the place of the form, which needs keys that the gateway does not have. */
export function PublishYourself() {
  return (
    <Text>
      Publish where your keys are: <Code>ioex firmware publish FILE --model M --version V</Code>
    </Text>
  )
}
