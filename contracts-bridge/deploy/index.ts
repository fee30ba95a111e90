/**
 * The chain side for others: an embedded development chain, one call that puts all contracts on a chain, and the
 * addresses as data.
 */
export { type Anvil, type AnvilOptions, DEVELOPMENT_MNEMONIC, startAnvil } from './anvil.ts'
export {
  BANDWIDTH_SERVICE,
  DEFAULT_TERMS,
  deployAll,
  type DeploymentTerms,
  type DeployOptions,
} from './deploy-all.ts'
export { type Deployment, DeploymentSchema } from './deployment.ts'
