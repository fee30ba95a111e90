// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title How many coins may have been emitted after a time
/// @notice The whitepaper's 20 coins per block of two minutes and its "+3 % a year", read as: the rate of a year
/// is the rate of the year before times 1.03, and within a year coins accrue evenly by time, not by block number.
library EmissionSchedule {
    struct Terms {
        /// Base units of 1e-8 per period in the first year.
        uint128 unitsPerPeriod;
        uint32 periodS;
        /// Yearly rise of the rate in basis points.
        uint32 growthBps;
    }

    uint256 internal constant YEAR_S = 365 days;
    uint256 private constant BPS = 10_000;

    /// @notice Units accrued `elapsedS` seconds after the start, rounded down within each year. Costs about 200 gas
    /// for each full year that has passed.
    function accrued(Terms memory terms, uint256 elapsedS) internal pure returns (uint256 total) {
        uint256 yearly = (uint256(terms.unitsPerPeriod) * YEAR_S) / terms.periodS;
        for (; elapsedS >= YEAR_S; elapsedS -= YEAR_S) {
            total += yearly;
            yearly = (yearly * (BPS + terms.growthBps)) / BPS;
        }
        total += (yearly * elapsedS) / YEAR_S;
    }
}
