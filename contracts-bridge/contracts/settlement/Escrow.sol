// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {ISettlement, VendorAccount} from "../interfaces/ISettlement.sol";
import {Accounts} from "./Accounts.sol";

/// @notice Vendors' GAS on deposit.
abstract contract Escrow is Accounts {
    using SafeCast for uint256;

    /// @dev Moving GAS rounds its backing down by less than one unit; with 10,000 units that is below 0.01 %.
    uint256 private constant MIN_DEPOSIT_IOEX = 10_000;

    /// @inheritdoc ISettlement
    function deposit(uint256 gas18) external {
        uint256 ioex = GAS.collect(msg.sender, gas18);
        if (ioex < MIN_DEPOSIT_IOEX) revert DepositTooSmall(ioex, MIN_DEPOSIT_IOEX);
        VendorAccount storage account = _vendors[msg.sender];
        account.escrowGas18 += gas18.toUint128();
        account.escrowIoex += ioex.toUint128();
        // Only a deposit can make the backing poorer: burning and withdrawing round it down, so the rest is richer.
        bool poorer = account.poorestGas18 == 0
            || uint256(account.escrowIoex) * account.poorestGas18
                < uint256(account.poorestIoex) * account.escrowGas18;
        if (poorer) (account.poorestIoex, account.poorestGas18) = (account.escrowIoex, account.escrowGas18);
        emit Deposited(msg.sender, gas18, ioex);
    }

    /// @inheritdoc ISettlement
    function requestWithdrawal(uint256 gas18) external {
        VendorAccount storage account = _vendors[msg.sender];
        if (gas18 > account.escrowGas18) revert InsufficientEscrow(msg.sender, account.escrowGas18, gas18);
        account.thawingGas18 = gas18.toUint128();
        account.thawedAt = (block.timestamp + _terms.withdrawThawS).toUint64();
        emit WithdrawalRequested(msg.sender, gas18, account.thawedAt);
    }

    /// @inheritdoc ISettlement
    function withdraw() external returns (uint256 gas18) {
        VendorAccount storage account = _vendors[msg.sender];
        if (account.thawingGas18 == 0 || block.timestamp < account.thawedAt) revert NotThawed(account.thawedAt);
        gas18 = Math.min(account.thawingGas18, _freeGas(account));
        account.thawingGas18 = 0;
        if (gas18 == 0) return 0;
        uint256 ioex = _backingOf(account, gas18);
        account.escrowGas18 -= gas18.toUint128();
        account.escrowIoex -= ioex.toUint128();
        emit Withdrawn(msg.sender, gas18, ioex);
        GAS.release(msg.sender, gas18, ioex);
    }
}
