import tseslint from 'typescript-eslint'

/** A rule is on, or it is not in this file. A disable comment in the code must give its reason. */
const everywhere = {
  '@typescript-eslint/no-floating-promises': [
    'error',
    // node:test's functions return a promise that the runner itself awaits.
    {
      allowForKnownSafeCalls: [
        {
          from: 'package',
          name: ['test', 'describe', 'it', 'suite', 'before', 'after'],
          package: 'node:test',
        },
      ],
    },
  ],
  '@typescript-eslint/no-misused-promises': 'error',
  '@typescript-eslint/await-thenable': 'error',
  '@typescript-eslint/return-await': ['error', 'in-try-catch'],
  '@typescript-eslint/only-throw-error': 'error',
  '@typescript-eslint/switch-exhaustiveness-check': 'error',
  '@typescript-eslint/no-explicit-any': 'error',
  '@typescript-eslint/no-unsafe-argument': 'error',
  '@typescript-eslint/no-unsafe-assignment': 'error',
  '@typescript-eslint/no-unsafe-call': 'error',
  '@typescript-eslint/no-unsafe-member-access': 'error',
  '@typescript-eslint/no-unsafe-return': 'error',
  '@typescript-eslint/no-non-null-assertion': 'error',
  '@typescript-eslint/consistent-type-imports': 'error',
  '@typescript-eslint/prefer-promise-reject-errors': 'error',
  'no-empty': ['error', { allowEmptyCatch: false }],
  'no-console': 'error',
  'max-lines': ['error', { max: 400, skipBlankLines: true, skipComments: true }],
  eqeqeq: 'error',
}

export default tseslint.config(
  {
    ignores: [
      '**/node_modules/**',
      '**/dist/**',
      'contracts-bridge/out/**',
      'contracts-bridge/abi/**',
      'test/artefacts/**',
    ],
  },
  {
    files: ['**/*.ts', '**/*.tsx'],
    linterOptions: { reportUnusedDisableDirectives: 'error' },
    plugins: { '@typescript-eslint': tseslint.plugin },
    languageOptions: {
      parser: tseslint.parser,
      parserOptions: {
        project: './tsconfig.json',
        tsconfigRootDir: new URL('..', import.meta.url).pathname,
      },
    },
    rules: everywhere,
  },
  {
    // Time is a collaborator in the peer: rooms take a clock, so that simulations can move it.
    files: ['node/**/*.ts'],
    ignores: ['node/base/**', '**/*.test.ts', 'node/testing/**'],
    rules: {
      'no-restricted-globals': ['error', 'setTimeout', 'setInterval'],
      'no-restricted-properties': [
        'error',
        { object: 'Date', property: 'now', message: 'take a Clock from base' },
        { object: 'performance', property: 'now', message: 'take a Clock from base' },
        { object: 'Math', property: 'random', message: 'take a Random from base' },
      ],
    },
  },
)
