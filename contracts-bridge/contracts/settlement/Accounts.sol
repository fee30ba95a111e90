// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {IGasCredit} from "../interfaces/IGasCredit.sol";
import {IRewardPool} from "../interfaces/IRewardPool.sol";
import {
    ISettlement,
    ServerAccount,
    SettlementTerms,
    VendorAccount
} from "../interfaces/ISettlement.sol";

/// @notice What all parts of the settlement share: the accounts, and the one way in which GAS is burned.
abstract contract Accounts is ISettlement, EIP712 {
    using SafeCast for uint256;

    uint256 internal constant BPS = 10_000;
    /// @dev The design's bound: a vendor that owns its servers loses at least 5 % of what it burns.
    uint256 internal constant MAX_REWARD_BPS = 9_500;
    /// @dev A reward is rounded down three times between burned ioeX and leaf, by less than one unit each.
    uint256 internal constant ROUNDING_UNITS = 3;

    IGasCredit public immutable GAS;
    IRewardPool public immutable POOL;

    SettlementTerms internal _terms;
    mapping(address vendor => VendorAccount) internal _vendors;
    mapping(address vendor => mapping(address server => ServerAccount)) internal _servers;

    constructor(IGasCredit gas, IRewardPool pool, SettlementTerms memory fixedTerms) EIP712("ioeX", "1") {
        if (fixedTerms.rewardBps > MAX_REWARD_BPS || fixedTerms.withdrawThawS <= fixedTerms.receiptClaimDelayS) {
            revert TermsInvalid();
        }
        GAS = gas;
        POOL = pool;
        _terms = fixedTerms;
    }

    /// @inheritdoc ISettlement
    function terms() external view returns (SettlementTerms memory) {
        return _terms;
    }

    /// @inheritdoc ISettlement
    function vendorOf(address vendor) external view returns (VendorAccount memory) {
        return _vendors[vendor];
    }

    /// @inheritdoc ISettlement
    function serverOf(address vendor, address server) external view returns (ServerAccount memory) {
        return _servers[vendor][server];
    }

    /// @inheritdoc ISettlement
    function rewardOf(address vendor) public view returns (uint256 ioex) {
        return (uint256(_vendors[vendor].burnedIoex) * _terms.rewardBps) / BPS;
    }

    /// @dev Burns GAS of the escrow with its share of the backing, rounded down, and reserves the reward for it
    /// under the emission ceiling. The caller has checked that the escrow covers it.
    function _burn(address vendor, uint256 gas18) internal returns (uint256 burnedIoex, uint256 rewardIoex) {
        if (gas18 == 0) return (0, 0);
        VendorAccount storage account = _vendors[vendor];
        burnedIoex = _backingOf(account, gas18);
        uint256 before = rewardOf(vendor);
        account.escrowGas18 -= gas18.toUint128();
        account.escrowIoex -= burnedIoex.toUint128();
        account.burnedGas18 += gas18.toUint128();
        account.burnedIoex += burnedIoex.toUint128();
        rewardIoex = rewardOf(vendor) - before;
        POOL.reserve(rewardIoex);
        GAS.burn(gas18, burnedIoex);
    }

    function _backingOf(VendorAccount storage account, uint256 gas18) internal view returns (uint256) {
        return gas18 == account.escrowGas18
            ? account.escrowIoex
            : Math.mulDiv(account.escrowIoex, gas18, account.escrowGas18);
    }

    /// @dev What the escrow holds beyond all reservations.
    function _freeGas(VendorAccount storage account) internal view returns (uint256) {
        return account.escrowGas18 - account.reservedGas18;
    }

    /// @dev Makes a pending claim's reservation follow what is still owed, as far as the escrow reaches.
    function _syncReservation(address vendor, address server) internal {
        ServerAccount storage mine = _servers[vendor][server];
        VendorAccount storage account = _vendors[vendor];
        uint256 owed = mine.claimableAt == 0 ? 0 : _owedGas(mine);
        uint256 reachable = _freeGas(account) + mine.reservedGas18;
        uint128 wanted = Math.min(owed, reachable).toUint128();
        if (wanted == mine.reservedGas18) return;
        account.reservedGas18 = account.reservedGas18 - mine.reservedGas18 + wanted;
        mine.reservedGas18 = wanted;
    }

    function _owedGas(ServerAccount storage account) internal view returns (uint256) {
        return Math.saturatingSub(account.provenGas18, account.creditedGas18);
    }
}
