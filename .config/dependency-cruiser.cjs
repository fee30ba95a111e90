/**
 * The arrows of the house: a room imports lower rooms only, and only through their door (`index.ts`).
 * `test/architecture` breaks one arrow on purpose and expects this file to notice.
 */
const LEVELS = [
  ['base'],
  ['identity', 'storage'],
  ['chunks', 'receipts', 'api', 'network'],
  ['friends', 'ddi'],
  ['exchange', 'channels'],
  ['firmware', 'drive'],
  ['device'],
  ['create-node'],
  ['cli'],
]

const path = (name) => (name === 'create-node' ? '^node/create-node[.]ts$' : `^node/${name}/`)
const roomNames = LEVELS.flat()

const upwards = LEVELS.flatMap((rooms, level) =>
  rooms.map((room) => ({
    name: `${room}-looks-down-only`,
    severity: 'error',
    comment: 'a room imports lower rooms only, never a sibling of its own level or a higher one',
    from: { path: path(room), pathNot: '[.]test[.]ts$' },
    to: {
      path: LEVELS.slice(level)
        .flat()
        .filter((other) => other !== room)
        .map(path)
        .concat('^node/testing/'),
    },
  })),
)

const doors = roomNames
  .filter((room) => room !== 'create-node')
  .map((room) => ({
    name: `${room}-through-its-door`,
    severity: 'error',
    comment: 'other rooms and workspaces import index.ts only',
    from: { pathNot: `^node/${room}/` },
    to: { path: `^node/${room}/`, pathNot: `^node/${room}/index[.]ts$` },
  }))

module.exports = {
  forbidden: [
    ...upwards,
    ...doors,
    { name: 'no-circles', severity: 'error', from: {}, to: { circular: true } },
    {
      name: 'node-knows-no-ethers',
      severity: 'error',
      from: { path: '^node/' },
      to: { path: 'node_modules/ethers' },
    },
    {
      name: 'node-imports-no-other-workspace',
      severity: 'error',
      from: { path: '^node/' },
      to: { path: '^(gateway|contracts-bridge|vendor-console|load|test)/' },
    },
    {
      name: 'bridge-takes-receipts-only',
      severity: 'error',
      comment:
        'the bridge opens no peer connection; of the peer it knows receipts, and what receipts stand on',
      from: { path: '^contracts-bridge/' },
      to: {
        path: '^(gateway|vendor-console|load|test)/|^node/(?!receipts/|base/|identity/|api/|cli/index[.]ts$)',
      },
    },
    {
      name: 'gateway-looks-down-only',
      severity: 'error',
      from: { path: '^gateway/' },
      to: { path: '^(vendor-console|load|test)/' },
    },
    {
      name: 'console-through-the-client-only',
      severity: 'error',
      from: { path: '^vendor-console/' },
      to: { path: '^(node|contracts-bridge|load|test)/|^gateway/(?!client[.]ts$)' },
    },
    {
      name: 'nobody-imports-proof',
      severity: 'error',
      from: { pathNot: '^(load|test)/' },
      to: { path: '^(load|test)/' },
    },
    {
      name: 'nobody-imports-entry-points',
      severity: 'error',
      comment:
        'programs of other workspaces stand on the frame of the command line, nothing else does',
      from: {
        pathNot: '^(node/cli|(gateway|contracts-bridge)/(cli|localnet)|test)/|[.]test[.]ts$',
      },
      to: { path: '^node/cli/' },
    },
    {
      name: 'nobody-imports-servers',
      severity: 'error',
      from: { pathNot: '^(node/cli|gateway/localnet|test)/|[.]test[.]ts$' },
      to: { path: '/serve[.]ts$' },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '(^|/)(dist|out|cache|artefacts)/' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    moduleSystems: ['es6', 'cjs'],
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'node', 'default', 'types'],
    },
  },
}
