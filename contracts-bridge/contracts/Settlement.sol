// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Multicall} from "@openzeppelin/contracts/utils/Multicall.sol";
import {IGasCredit} from "./interfaces/IGasCredit.sol";
import {IRewardPool} from "./interfaces/IRewardPool.sol";
import {ISettlement, SettlementTerms} from "./interfaces/ISettlement.sol";
import {Accounts} from "./settlement/Accounts.sol";
import {Escrow} from "./settlement/Escrow.sol";
import {ReceiptClaims} from "./settlement/ReceiptClaims.sol";
import {Grant, PinOrder, Receipt, Vouchers} from "./types/Vouchers.sol";

/// @notice All parts of the settlement in one contract; see {ISettlement}.
/// @dev Multicall lets a post and its claims be one transaction, so that no receipt claim comes between them.
contract Settlement is Escrow, ReceiptClaims, Multicall {
    using Vouchers for Grant;
    using Vouchers for PinOrder;
    using Vouchers for Receipt;

    constructor(IGasCredit gas, IRewardPool pool, address admin, SettlementTerms memory fixedTerms)
        Accounts(gas, pool, fixedTerms)
    {
        _grantRole(DEFAULT_ADMIN_ROLE, admin);
    }

    /// @inheritdoc ISettlement
    function digestOfGrant(Grant calldata grant) external view returns (bytes32) {
        return _hashTypedDataV4(grant.hash());
    }

    /// @inheritdoc ISettlement
    function digestOfReceipt(Receipt calldata receipt) external view returns (bytes32) {
        return _hashTypedDataV4(receipt.hash());
    }

    /// @inheritdoc ISettlement
    function digestOfPinOrder(PinOrder calldata order) external view returns (bytes32) {
        return _hashTypedDataV4(order.hash());
    }
}
