#!/usr/bin/env node
import { enableCompileCache } from 'node:module'

// Stripping types and compiling is most of the start; the second call finds it done.
enableCompileCache()
const [{ createProgram }, { runAsBin }] = await Promise.all([
  import('./catalogue.ts'),
  import('./run.ts'),
])
await runAsBin(createProgram(process.env))
