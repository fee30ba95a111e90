import assert from 'node:assert/strict'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { type Clock, KIB, MIB, type Random, silentLog, systemClock } from '../base/index.ts'
import { type Block, createStorage, type PinSession, type Storage } from './index.ts'
import { createTrialFiles, type TrialFiles } from './trial-files.ts'
import { block, seededRandom, withFolder } from './trial-storage.ts'

const ROOTS = 10
const LEAVES = 60
const STEPS = 1_600

/** Pins and sessions as a person would keep them on paper. */
interface Model {
  readonly pins: Map<number, { blocks: Set<number>; owners: Map<string, number | undefined> }>
  readonly sessions: Map<number, Set<number>>
}

/** A store of small segments on a disk that loses what was not synced, and the model beside it. */
class World {
  readonly model: Model = { pins: new Map(), sessions: new Map() }
  readonly universe: Block[]
  readonly numberOf: Map<string, number>
  readonly handles = new Map<number, PinSession>()
  readonly random: Random
  readonly folder: string
  /** A collection that runs beside the steps. Time stands still until it has ended. */
  background: Promise<unknown> | undefined
  nowMs = 1_000_000
  crashes = 0
  files: TrialFiles
  storage: Storage

  constructor(folder: string, seed: number) {
    this.folder = folder
    this.random = seededRandom(seed)
    this.universe = Array.from({ length: ROOTS + LEAVES }, (_, number) =>
      block(this.random.bytes(1 + this.random.int(2_500)), number < ROOTS ? 0x71 : 0x55),
    )
    this.numberOf = new Map(this.universe.map(({ cid }, number) => [cid.toString(), number]))
    const parts = this.make()
    this.files = parts.files
    this.storage = parts.storage
  }

  make() {
    const clock: Clock = { ...systemClock, nowMs: () => this.nowMs }
    const files = createTrialFiles(join(this.folder, 'graveyard'))
    const storage = createStorage(
      { clock, log: silentLog, files },
      { folder: join(this.folder, 'store'), quotaBytes: 4 * MIB, segmentBytes: 16 * KIB },
    )
    return { files, storage }
  }

  at(number: number): Block {
    return this.universe[number] as Block
  }

  some(): number[] {
    return Array.from({ length: 1 + this.random.int(6) }, () => this.random.int(ROOTS + LEAVES))
  }

  live(): Set<number> {
    const all = new Set<number>()
    for (const { blocks } of this.model.pins.values()) for (const each of blocks) all.add(each)
    for (const blocks of this.model.sessions.values()) for (const each of blocks) all.add(each)
    return all
  }

  async handle(root: number): Promise<PinSession> {
    const known = this.handles.get(root)
    if (known !== undefined) return known
    const session = await this.storage.pins.open(this.at(root).cid)
    this.handles.set(root, session)
    if (!this.model.sessions.has(root)) this.model.sessions.set(root, new Set())
    return session
  }

  /** What the store says about a root, in the model's terms. */
  async pinOnDisk(root: number) {
    const pin = await this.storage.pins.get(this.at(root).cid)
    if (pin === undefined) return undefined
    const blocks = new Set<number>()
    for await (const cid of this.storage.pins.blocks(pin.root)) {
      const number = this.numberOf.get(cid.toString())
      assert.ok(number !== undefined, `${cid.toString()} came back with another codec or digest`)
      blocks.add(number)
    }
    assert.equal(pin.blocks, blocks.size)
    return { blocks, owners: new Map(pin.owners.map((each) => [each.owner, each.untilMs])) }
  }

  async settle(): Promise<void> {
    const running = this.background
    this.background = undefined
    await running
  }

  /** The power goes, some of what was not synced with it, and the store is opened again. */
  async crash(): Promise<void> {
    this.crashes++
    await this.files.powerCut(this.random)
    await this.settle().catch((thrown: unknown) => assert.ok(thrown instanceof Error))
    await this.storage.stop().catch((thrown: unknown) => assert.ok(thrown instanceof Error))
    this.handles.clear()
    const parts = this.make()
    this.files = parts.files
    this.storage = parts.storage
    await this.storage.start()
  }

  async checkLive(): Promise<void> {
    for (const number of this.live()) {
      const { cid, bytes } = this.at(number)
      const found = await this.storage.blocks.get(cid)
      assert.deepEqual(found, bytes, `block ${number} is reachable and was lost`)
    }
    for (let root = 0; root < ROOTS; root++)
      assert.deepEqual(await this.pinOnDisk(root), this.model.pins.get(root), `pin ${root}`)
  }

  async checkNoGarbage(): Promise<void> {
    await this.storage.collectGarbage()
    await this.storage.collectGarbage()
    for (const [root, { owners }] of this.model.pins) {
      for (const [owner, untilMs] of owners)
        if (untilMs !== undefined && untilMs <= this.nowMs) owners.delete(owner)
      if (owners.size === 0) this.model.pins.delete(root)
    }
    const live = this.live()
    for (let number = 0; number < this.universe.length; number++)
      assert.equal(
        await this.storage.blocks.has(this.at(number).cid),
        live.has(number),
        `${number}`,
      )
    await this.checkLive()
  }
}

interface Step {
  /** Changes the store. */
  readonly act: () => Promise<void>
  /** Changes the model likewise, once the store has said that it did. */
  readonly note: () => void
  /** After a crash it may have been done in part: doing it again makes it whole. */
  readonly again?: true
}

function chooseStep(world: World): Step {
  const { model, random } = world
  const root = random.int(ROOTS)
  const pin = model.pins.get(root)
  const owner = `owner-${random.int(3)}`
  const untilMs = random.int(2) === 0 ? undefined : world.nowMs + 1 + random.int(5_000)
  const ownerOf = untilMs === undefined ? { owner } : { owner, untilMs }
  const nothing = () => undefined
  switch (random.int(12)) {
    case 0:
    case 1:
    case 2: {
      const added = [root, ...world.some()]
      return {
        act: async () => (await world.handle(root)).add(added.map((each) => world.at(each))),
        note: () => added.forEach((each) => model.sessions.get(root)?.add(each)),
        again: true,
      }
    }
    case 3: {
      const number = random.int(world.universe.length)
      let adopted = false
      return {
        act: async () => {
          const before = await world.storage.blocks.has(world.at(number).cid)
          adopted = await (await world.handle(root)).adopt(world.at(number).cid)
          // A collection beside this may have deleted it in between, but never one that something names.
          assert.ok(adopted ? before : !before || !world.live().has(number))
        },
        note: () => adopted && model.sessions.get(root)?.add(number),
        again: true,
      }
    }
    case 4:
    case 5: {
      const session = model.sessions.get(root)
      if (session === undefined || !session.has(root)) return { act: async () => {}, note: nothing }
      return {
        act: async () => {
          await (await world.handle(root)).commit(ownerOf)
        },
        note: () => {
          const owners = new Map(pin?.owners).set(owner, untilMs)
          model.pins.set(root, { blocks: new Set([...(pin?.blocks ?? []), ...session]), owners })
          model.sessions.delete(root)
          world.handles.delete(root)
        },
      }
    }
    case 6:
      return {
        act: async () => {
          if (model.sessions.has(root)) await (await world.handle(root)).drop()
        },
        note: () => {
          model.sessions.delete(root)
          world.handles.delete(root)
        },
      }
    case 7:
      return {
        act: async () => {
          assert.equal(
            await world.storage.pins.share(world.at(root).cid, ownerOf),
            pin !== undefined,
          )
        },
        note: () => pin?.owners.set(owner, untilMs),
      }
    case 8:
    case 9:
      return {
        act: async () => {
          const removed = await world.storage.pins.remove(world.at(root).cid, owner)
          assert.equal(removed, pin?.owners.has(owner) ?? false)
        },
        note: () => {
          pin?.owners.delete(owner)
          if (pin?.owners.size === 0) model.pins.delete(root)
        },
      }
    case 10: {
      const cached = world.some().map((each) => world.at(each))
      return { act: () => world.storage.blocks.putMany(cached), note: nothing }
    }
    default: {
      const waitMs = random.int(3_000)
      return {
        act: async () => {
          await world.settle()
          world.nowMs += waitMs
          await world.storage.collectGarbage()
          world.background = world.storage.collectGarbage()
          // Heard by settle(); until then it is nobody's.
          world.background.catch(() => undefined)
        },
        note: () => {
          for (const [each, { owners }] of model.pins) {
            for (const [name, until] of owners)
              if (until !== undefined && until <= world.nowMs) owners.delete(name)
            if (owners.size === 0) model.pins.delete(each)
          }
        },
      }
    }
  }
}

/**
 * After a crash in the middle of a step the store stands before it or behind it, for each pin by itself, and
 * the model follows. Sessions may hold more than was acknowledged, never less.
 */
async function reconcile(world: World, step: Step): Promise<void> {
  if (step.again) {
    await step.act()
    step.note()
    return
  }
  const before = structuredClone(world.model)
  step.note()
  const after = structuredClone(world.model)
  for (let root = 0; root < ROOTS; root++) {
    const found = await world.pinOnDisk(root)
    const matches = [before, after].some((model) => {
      try {
        assert.deepEqual(found, model.pins.get(root))
        return true
      } catch (thrown) {
        assert.ok(thrown instanceof assert.AssertionError)
        return false
      }
    })
    assert.ok(matches, `pin ${root} is neither as before nor as after the step`)
    if (found === undefined) world.model.pins.delete(root)
    else world.model.pins.set(root, found)
    // A session whose end was not acknowledged may still be there; opening it goes on with what it has.
    const session = before.sessions.get(root)
    if (session !== undefined && !after.sessions.has(root)) world.model.sessions.delete(root)
    else if (session !== undefined) world.model.sessions.set(root, session)
    else world.model.sessions.delete(root)
  }
  // What a session kept beyond the model (or was half dropped) is settled by dropping what the model lacks.
  for (let root = 0; root < ROOTS; root++)
    if (!world.model.sessions.has(root))
      await (await world.storage.pins.open(world.at(root).cid)).drop()
}

async function walk(seed: number): Promise<World> {
  return withFolder(async (folder) => {
    const world = new World(folder, seed)
    await world.storage.start()
    try {
      for (let number = 0; number < STEPS; number++) {
        const step = chooseStep(world)
        if (world.random.int(25) === 0) {
          world.files.crashAfter(
            world.random.int(14),
            world.random.int(2) === 0 ? 'undone' : 'done',
          )
          await step.act().catch((thrown: unknown) => {
            if (!world.files.crashed) throw thrown
          })
          await world.crash()
          await reconcile(world, step)
        } else {
          await step.act()
          step.note()
        }
        if (number % 40 === 39) await world.settle()
        if (number % 40 === 39) await world.checkLive()
        if (number % 160 === 159) await world.checkNoGarbage()
      }
      await world.settle()
    } finally {
      await world.storage.stop()
    }
    return world
  })
}

describe('pins, sessions and garbage collection against a model', () => {
  for (const seed of [1, 20_261_124])
    test(`lose no reachable block and leave no garbage over ${STEPS} steps with power cuts, seed ${seed}`, async (t) => {
      const world = await walk(seed)
      assert.ok(world.crashes > 20)
      t.diagnostic(`${STEPS} steps, ${world.crashes} power cuts`)
    })
})
