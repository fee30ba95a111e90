/** A whole gateway in one process for the tests of other workspaces, and the listener that puts it on a port. */
export { listen } from '../listen.ts'
export { startGateway } from './start-gateway.ts'
export { enrolMany } from './enrol-many.ts'
