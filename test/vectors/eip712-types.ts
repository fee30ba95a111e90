/** The structs as ethers wants them, written from the Solidity side's type strings, not from node/receipts. */
const typed = (members: string) =>
  members.split(',').map((member) => {
    const [type = '', name = ''] = member.split(' ')
    return { type, name }
  })

export const ETHERS_TYPES = {
  Grant: typed(
    'address vendor,address device,bytes32 root,bytes32 deltaRoot,uint64 maxBytes,bytes32 service,uint32 priceVersion,uint64 notBefore,uint64 notAfter,uint64 serial',
  ),
  Receipt: typed('bytes32 grantId,address server,uint64 serverBytes,uint64 grantBytes'),
  PinOrder: typed(
    'address payer,bytes32[] roots,uint64 bytes,uint64 from,uint64 until,uint32 copies,bytes32 service,uint32 priceVersion,address[] signers',
  ),
}
