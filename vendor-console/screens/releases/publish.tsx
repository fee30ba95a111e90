import {
  Button,
  FileButton,
  Group,
  Progress,
  Stack,
  Text,
  Textarea,
  TextInput,
} from '@mantine/core'
import { useQueryClient } from '@tanstack/react-query'
import { useNavigate } from '@tanstack/react-router'
import { type FormEvent, useState } from 'react'
import type { UploadProgress } from '../../api/index.ts'
import { bytes, Troubles } from '../../parts/index.ts'
import { useUpload } from './use-upload.ts'

const PHASES: Record<UploadProgress['phase'], string> = {
  receiving: 'Uploading',
  packing: 'Packing',
  sealing: 'Sealing',
  signing: 'Signing',
  pinning: 'Storing on the seeds',
  published: 'Published',
  failed: 'Failed',
}

/** A form that becomes a progress bar: the file goes up while it is packed and sealed, then to the seeds. */
export function Publish({ done }: { readonly done: () => void }) {
  const [file, setFile] = useState<File | null>(null)
  const [over, setOver] = useState(false)
  const upload = useUpload()
  const navigate = useNavigate()
  const queries = useQueryClient()

  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault()
    if (file === null) return
    const form = new FormData(event.currentTarget)
    const text = (name: string) => {
      const value = form.get(name)
      return typeof value === 'string' ? value.trim() : ''
    }
    upload.begin(file, { model: text('model'), version: text('version'), notes: text('notes') })
  }
  const show = (release: string) => {
    void queries.invalidateQueries({ queryKey: ['releases'] })
    done()
    void navigate({ to: '/releases/$id', params: { id: release } })
  }

  const { progress } = upload
  if (upload.running || progress?.phase === 'published') {
    const phase = progress?.phase ?? 'receiving'
    const percent = Math.round(progress?.percent ?? 0)
    return (
      <Stack aria-live="polite">
        <Text fw={600}>{PHASES[phase]}</Text>
        <Progress.Root size="xl">
          <Progress.Section
            value={percent}
            animated={phase !== 'published'}
            aria-label="Publishing"
          >
            <Progress.Label>{percent} %</Progress.Label>
          </Progress.Section>
        </Progress.Root>
        <Text size="sm" c="dimmed">
          {bytes(progress?.receivedBytes ?? 0)} of {bytes(file?.size)} received; on{' '}
          {progress?.copies ?? 0} of {progress?.copiesWanted ?? '–'} seeds
        </Text>
        {progress?.phase === 'published' && progress.release !== null ? (
          <Button onClick={() => show(progress.release ?? '')} data-autofocus>
            Show the release
          </Button>
        ) : (
          <Button variant="default" onClick={upload.cancel}>
            Cancel
          </Button>
        )}
      </Stack>
    )
  }
  return (
    <form onSubmit={submit}>
      <Stack>
        <div
          className="drop"
          data-over={over}
          onDragOver={(event) => {
            event.preventDefault()
            setOver(true)
          }}
          onDragLeave={() => setOver(false)}
          onDrop={(event) => {
            event.preventDefault()
            setOver(false)
            setFile(event.dataTransfer.files[0] ?? null)
          }}
        >
          <Text>
            {file === null ? 'Drop the firmware image here' : `${file.name}, ${bytes(file.size)}`}
          </Text>
          <FileButton onChange={setFile} inputProps={{ 'aria-label': 'Firmware image' }}>
            {(props) => (
              <Button variant="default" mt="sm" {...props}>
                Choose a file
              </Button>
            )}
          </FileButton>
        </div>
        <Group grow align="flex-start">
          <TextInput
            name="model"
            label="Model"
            description="The devices it is for"
            placeholder="pump-s3"
            required
          />
          <TextInput
            name="version"
            label="Version"
            description="Such as 1.5.0"
            placeholder="1.5.0"
            required
          />
        </Group>
        <Textarea
          name="notes"
          label="Notes"
          description="What changed, for the people who run the devices"
          autosize
          minRows={2}
        />
        <Troubles error={upload.error} />
        <Button type="submit" disabled={file === null}>
          Publish
        </Button>
      </Stack>
    </form>
  )
}
