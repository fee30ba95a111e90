// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";

/// @title The ioeX coin
/// @notice ERC-20 with EIP-2612 permits and 8 decimals, the unit of the coin of 2018. The whole genesis supply
/// goes to one treasury; after that only the reward pool mints, within the emission ceiling.
interface IIoexToken is IERC20, IERC20Permit {
    /// @notice The treasury of the genesis supply is the zero address.
    error TreasuryMissing();

    /// @notice 200,000,000 coins in base units of 1e-8.
    function GENESIS_SUPPLY() external view returns (uint256);

    /// @notice Creates coins; only for the holder of MINTER_ROLE.
    /// @param to who receives them
    /// @param amount base units of 1e-8
    function mint(address to, uint256 amount) external;

    /// @notice Destroys coins of the caller.
    /// @param amount base units of 1e-8
    function burn(uint256 amount) external;
}
