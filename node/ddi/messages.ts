/**
 * What goes over the wire, in the words of hawkBit's DDI v1 (`hawkbit-ddi-api`, `json/model/*.java`). Whatever
 * a client sends beyond this is ignored: SWUpdate adds `id` and `time` to every feedback.
 */
import { z } from 'zod'
import { ATTRIBUTE_MAX_CHARS, ATTRIBUTES_MAX, MESSAGE_MAX_CHARS } from './limits.ts'

const EXECUTIONS = [
  'closed',
  'proceeding',
  'canceled',
  'scheduled',
  'rejected',
  'resumed',
  'downloaded',
  'download',
] as const
const FINISHED = ['success', 'failure', 'none'] as const
const CONFIRMATIONS = ['confirmed', 'denied'] as const
const ATTRIBUTE_MODES = ['merge', 'replace', 'remove'] as const

export type Execution = (typeof EXECUTIONS)[number]
export type AttributeMode = (typeof ATTRIBUTE_MODES)[number]

const details = z
  .array(z.string().nullable())
  .nullish()
  .transform((lines) =>
    (lines ?? []).flatMap((line) => {
      const text = (line ?? '').trim().slice(0, MESSAGE_MAX_CHARS)
      return text === '' ? [] : [text]
    }),
  )
const code = z.int().nullish()

export const FeedbackSchema = z.object({
  status: z.object({
    execution: z.enum(EXECUTIONS),
    result: z
      .object({
        finished: z.enum(FINISHED).nullish(),
        progress: z.object({ cnt: z.int().nullish(), of: z.int().nullish() }).nullish(),
      })
      .nullish(),
    code,
    details,
  }),
})
export type Feedback = z.infer<typeof FeedbackSchema>

export const ConfirmationSchema = z.object({
  confirmation: z.enum(CONFIRMATIONS),
  code,
  details,
})
export type Confirmation = z.infer<typeof ConfirmationSchema>

const attribute = z.string().max(ATTRIBUTE_MAX_CHARS)

export const ConfigDataSchema = z.object({
  mode: z.enum(ATTRIBUTE_MODES).nullish(),
  data: z
    .record(
      attribute.min(1),
      attribute.nullable().transform((text) => text ?? ''),
    )
    .refine((data) => Object.keys(data).length <= ATTRIBUTES_MAX, {
      message: `at most ${ATTRIBUTES_MAX} attributes`,
    }),
})

export const AutoConfirmSchema = z.object({
  initiator: z.string().max(MESSAGE_MAX_CHARS).nullish(),
  remark: z.string().max(MESSAGE_MAX_CHARS).nullish(),
})
