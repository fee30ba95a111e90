import react from '@vitejs/plugin-react'
import { defineConfig } from 'vite'

/** The only build in the project. In development the API is a gateway that runs already (IOEX_GATEWAY). */
export default defineConfig({
  root: import.meta.dirname,
  plugins: [react()],
  // Another workspace brings an older React into the tree; the page must have one and the same everywhere.
  resolve: { dedupe: ['react', 'react-dom'] },
  build: { outDir: 'dist', emptyOutDir: true, target: 'es2023' },
  server: {
    proxy: {
      '^/(v1|tuf|ipfs|docs|openapi.json|healthz)':
        process.env.IOEX_GATEWAY ?? 'http://127.0.0.1:8080',
    },
  },
})
