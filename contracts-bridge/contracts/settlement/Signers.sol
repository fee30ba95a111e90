// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {ISettlement, SignerAccount} from "../interfaces/ISettlement.sol";
import {Accounts} from "./Accounts.sol";

/// @notice Hot keys that sign for a vendor whose own key stays cold.
abstract contract Signers is Accounts {
    using SafeCast for uint256;

    mapping(address vendor => mapping(address signer => SignerAccount)) internal _signers;

    /// @inheritdoc ISettlement
    function authoriseSigner(address signer, uint128 dailyCapGas18, uint64 validUntil) external {
        SignerAccount storage account = _signers[msg.sender][signer];
        // A signer that has ended starts anew: what it signed in between stays without authority. One that the
        // vendor names for the first time has no such past, and clocks differ: what it signed already counts.
        if (account.validUntil != 0 && account.validUntil <= block.timestamp) {
            account.validFrom = block.timestamp.toUint64();
        }
        account.dailyCapGas18 = dailyCapGas18;
        account.validUntil = validUntil;
        emit SignerAuthorised(msg.sender, signer, dailyCapGas18, validUntil);
    }

    /// @inheritdoc ISettlement
    function revokeSigner(address signer) external {
        SignerAccount storage account = _signers[msg.sender][signer];
        uint256 end = block.timestamp + _terms.signerThawS;
        if (end < account.validUntil) account.validUntil = end.toUint64();
        emit SignerRevoked(msg.sender, signer, account.validUntil);
    }

    /// @inheritdoc ISettlement
    function signerOf(address vendor, address signer) external view returns (SignerAccount memory) {
        return _signers[vendor][signer];
    }

    function _requireAuthority(address vendor, address signer, uint256 time) internal view {
        SignerAccount storage account = _signers[vendor][signer];
        if (time < account.validFrom || time >= account.validUntil) {
            revert SignerNotAuthorised(vendor, signer, time);
        }
    }

    /// @dev For what was signed to be valid over a time: it must overlap with the authority. Grants begin some minutes
    /// before they are signed, as clocks differ.
    function _requireAuthorityWithin(address vendor, address signer, uint256 from, uint256 until) internal view {
        SignerAccount storage account = _signers[vendor][signer];
        if (until < account.validFrom || from >= account.validUntil) {
            revert SignerNotAuthorised(vendor, signer, from);
        }
    }

    /// @dev What the signer may still burn on this day.
    function _capLeft(address vendor, address signer) internal view returns (uint256) {
        SignerAccount storage account = _signers[vendor][signer];
        uint256 spent = account.day == block.timestamp / 1 days ? account.spentGas18 : 0;
        return Math.saturatingSub(account.dailyCapGas18, spent);
    }

    function _charge(address vendor, address signer, uint256 gas18) internal {
        uint256 left = _capLeft(vendor, signer);
        if (gas18 > left) revert DailyCapReached(signer, left, gas18);
        SignerAccount storage account = _signers[vendor][signer];
        uint64 today = (block.timestamp / 1 days).toUint64();
        account.spentGas18 = gas18.toUint128() + (account.day == today ? account.spentGas18 : 0);
        account.day = today;
    }
}
