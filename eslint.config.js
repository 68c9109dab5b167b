// Biome does all other linting. It knows no types from node_modules, so it would miss a floating `rm()`.

import { defineConfig } from 'eslint/config'
import { parser, plugin } from 'typescript-eslint'

export default defineConfig(
  { ignores: ['dist', '.test-build', 'test/package/consumers'] },
  {
    files: ['**/*.ts'],
    plugins: { '@typescript-eslint': plugin },
    languageOptions: { parser, parserOptions: { project: './tsconfig.eslint.json' } },
    rules: {
      '@typescript-eslint/no-floating-promises': [
        'error',
        {
          // The runner awaits these itself.
          allowForKnownSafeCalls: [
            { from: 'package', package: 'node:test', name: ['describe', 'it', 'suite', 'test'] },
          ],
        },
      ],
      '@typescript-eslint/no-misused-promises': 'error',
    },
  },
)
