/** Of the HTTP API and the commands of this workspace. */
export const API_VERSION = '1.0.0'
