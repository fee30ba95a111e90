// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title The emission of new ioeX
/// @notice 20 coins per two minutes, raised by a fixed share each year, is a ceiling and no quota: coins come
/// into being only against ioeX that settlement destroyed. What exceeds the ceiling is put off, never diluted.
interface IRewardPool {
    /// @notice Rights for `wanted` units would exceed the ceiling; `available` can be had now, more with time.
    error EmissionCeilingReached(uint256 available, uint256 wanted);
    /// @notice More would be paid than rights were reserved for.
    error BeyondReserved(uint256 available, uint256 wanted);

    /// @notice Rights to new coins were reserved under the ceiling.
    event Reserved(uint256 ioex, uint256 totalReserved);
    /// @notice New coins were paid out.
    event Paid(address indexed to, uint256 ioex);

    /// @notice Base units that may exist up to now by emission, ever rising with time.
    function ceiling() external view returns (uint256);

    /// @notice Rights given so far, at most `ceiling`.
    function reserved() external view returns (uint256);

    /// @notice Coins minted so far, at most `reserved`.
    function paid() external view returns (uint256);

    /// @notice Takes `amount` out of what the ceiling still allows. Only for the holder of SETTLEMENT_ROLE.
    function reserve(uint256 amount) external;

    /// @notice Mints coins against rights reserved before. Only for the holder of SETTLEMENT_ROLE.
    function pay(address to, uint256 amount) external;
}
