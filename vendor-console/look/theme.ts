import { createTheme } from '@mantine/core'

/** One accent, system fonts (nothing is fetched from elsewhere), contrast worked out by Mantine. */
export const theme = createTheme({
  primaryColor: 'cyan',
  primaryShade: 9,
  autoContrast: true,
  defaultRadius: 'md',
  cursorType: 'pointer',
})
