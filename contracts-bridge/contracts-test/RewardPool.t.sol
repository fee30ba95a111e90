// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAccessControl} from "@openzeppelin/contracts/access/IAccessControl.sol";
import {EmissionSchedule} from "../contracts/EmissionSchedule.sol";
import {IRewardPool} from "../contracts/interfaces/IRewardPool.sol";
import {World} from "./World.sol";

contract RewardPoolTest is World {
    EmissionSchedule.Terms private terms = EmissionSchedule.Terms(20e8, 120, 300);

    function test_ceiling_isTwentyCoinsInTwoMinutes() public {
        vm.assertEq(pool.ceiling(), 0, "nothing at the start");
        vm.warp(START + 120);
        vm.assertEq(pool.ceiling(), 20e8, "two minutes");
        vm.warp(START + 365 days);
        vm.assertEq(pool.ceiling(), 5_256_000e8, "the first year");
    }

    function test_ceiling_risesByThreePercentAYear() public view {
        uint256 firstYear = 5_256_000e8;
        uint256 two = EmissionSchedule.accrued(terms, 2 * 365 days);
        vm.assertEq(two, firstYear + (firstYear * 103) / 100, "second year");
        // 5,256,000 x (1.03^5 - 1) / 0.03 = 27,904,817.83 coins.
        vm.assertEq(EmissionSchedule.accrued(terms, 5 * 365 days) / 1e8, 27_904_817, "five years");
    }

    function test_reserve_refusesWhatExceedsTheCeiling() public {
        pool.grantRole(pool.SETTLEMENT_ROLE(), address(this));
        vm.warp(START + 120);
        pool.reserve(15e8);
        vm.expectRevert(abi.encodeWithSelector(IRewardPool.EmissionCeilingReached.selector, 5e8, 6e8));
        pool.reserve(6e8);
    }

    function test_pay_refusesWhatWasNotReserved() public {
        pool.grantRole(pool.SETTLEMENT_ROLE(), address(this));
        vm.warp(START + 120);
        pool.reserve(1e8);
        pool.pay(server, 1e8);
        vm.expectRevert(abi.encodeWithSelector(IRewardPool.BeyondReserved.selector, 0, 1));
        pool.pay(server, 1);
    }

    function test_reserveAndPay_areForSettlementOnly() public {
        vm.expectPartialRevert(IAccessControl.AccessControlUnauthorizedAccount.selector);
        pool.reserve(0);
        vm.expectPartialRevert(IAccessControl.AccessControlUnauthorizedAccount.selector);
        pool.pay(server, 0);
    }

    function testFuzz_accrued_neverFallsNorJumps(uint256 from, uint256 step) public view {
        from %= 100 * 365 days;
        step %= 365 days;
        uint256 before = EmissionSchedule.accrued(terms, from);
        uint256 later = EmissionSchedule.accrued(terms, from + step);
        vm.assertGe(later, before, "monotone");
        // In year 101 the rate is 20 x 1.03^100 = 384.4 coins in two minutes.
        vm.assertLe(later - before, (step * 385e8) / 120 + 2, "no jump");
    }
}
