#!/usr/bin/env node
import { enableCompileCache } from 'node:module'

// Stripping types and compiling is most of the start; the second call finds it done.
enableCompileCache()
// Before the rest is loaded, or what loading took is kept to the end.
if (process.argv[2] === 'device') (await import('../base/index.ts')).tuneForSmallMemory()
const [{ createProgram }, { runAsBin }] = await Promise.all([
  import('./catalogue.ts'),
  import('./run.ts'),
])
await runAsBin(createProgram(process.env))
