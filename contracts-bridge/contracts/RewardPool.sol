// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AccessControl} from "@openzeppelin/contracts/access/AccessControl.sol";
import {EmissionSchedule} from "./EmissionSchedule.sol";
import {IIoexToken} from "./interfaces/IIoexToken.sol";
import {IRewardPool} from "./interfaces/IRewardPool.sol";

/// @notice Mints within the ceiling; see {IRewardPool}.
contract RewardPool is IRewardPool, AccessControl {
    bytes32 public constant SETTLEMENT_ROLE = keccak256("SETTLEMENT_ROLE");

    IIoexToken public immutable IOEX;
    /// @notice Unix seconds of the deployment, from which emission accrues.
    uint256 public immutable STARTED_AT;

    EmissionSchedule.Terms private _terms;

    /// @inheritdoc IRewardPool
    uint256 public reserved;
    /// @inheritdoc IRewardPool
    uint256 public paid;

    constructor(IIoexToken ioex, address admin, EmissionSchedule.Terms memory terms) {
        IOEX = ioex;
        STARTED_AT = block.timestamp;
        _terms = terms;
        _grantRole(DEFAULT_ADMIN_ROLE, admin);
    }

    /// @inheritdoc IRewardPool
    function ceiling() public view returns (uint256) {
        return EmissionSchedule.accrued(_terms, block.timestamp - STARTED_AT);
    }

    /// @inheritdoc IRewardPool
    function reserve(uint256 amount) external onlyRole(SETTLEMENT_ROLE) {
        uint256 available = ceiling() - reserved;
        if (amount > available) revert EmissionCeilingReached(available, amount);
        reserved += amount;
        emit Reserved(amount, reserved);
    }

    /// @inheritdoc IRewardPool
    function pay(address to, uint256 amount) external onlyRole(SETTLEMENT_ROLE) {
        if (paid + amount > reserved) revert BeyondReserved(reserved - paid, amount);
        paid += amount;
        emit Paid(to, amount);
        IOEX.mint(to, amount);
    }
}
