// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAccessControl} from "@openzeppelin/contracts/access/IAccessControl.sol";
import {Settlement} from "../contracts/Settlement.sol";
import {IGasCredit} from "../contracts/interfaces/IGasCredit.sol";
import {ISettlement, SettlementTerms} from "../contracts/interfaces/ISettlement.sol";
import {World} from "./World.sol";

contract EscrowTest is World {
    function test_deposit_movesTheShareOfTheBacking() public {
        _convert(vendor, 4 * IOEX);
        vm.prank(vendor);
        settlement.deposit(10 * GAS);
        vm.assertEq(settlement.vendorOf(vendor).escrowIoex, IOEX, "a quarter");
        vm.assertEq(gas.accountOf(vendor).backingIoex, 3 * IOEX, "the rest stays");
    }

    function test_deposit_refusesDustAndMoreThanThereIs() public {
        _convert(vendor, IOEX);
        vm.prank(vendor);
        vm.expectPartialRevert(ISettlement.DepositTooSmall.selector);
        settlement.deposit(1e11);
        vm.prank(vendor);
        vm.expectPartialRevert(IGasCredit.InsufficientGas.selector);
        settlement.deposit(11 * GAS);
    }

    function test_withdraw_waitsForTheThaw() public {
        _fund(vendor, IOEX);
        vm.prank(vendor);
        settlement.requestWithdrawal(4 * GAS);
        vm.warp(START + 14 days - 1);
        vm.prank(vendor);
        vm.expectRevert(abi.encodeWithSelector(ISettlement.NotThawed.selector, START + 14 days));
        settlement.withdraw();
        vm.warp(START + 14 days);
        vm.prank(vendor);
        vm.assertEq(settlement.withdraw(), 4 * GAS, "withdrawn");
        vm.assertEq(gas.accountOf(vendor).gas18, 4 * GAS, "back on the account");
        vm.assertEq(gas.accountOf(vendor).backingIoex, 4e7, "with its backing");
        vm.prank(vendor);
        vm.expectPartialRevert(ISettlement.NotThawed.selector);
        settlement.withdraw();
    }

    function test_requestWithdrawal_refusesMoreThanThereIsAndCanBeTakenBack() public {
        _fund(vendor, IOEX);
        vm.prank(vendor);
        vm.expectPartialRevert(ISettlement.InsufficientEscrow.selector);
        settlement.requestWithdrawal(11 * GAS);
        vm.prank(vendor);
        settlement.requestWithdrawal(GAS);
        vm.prank(vendor);
        settlement.requestWithdrawal(0);
        vm.warp(START + 30 days);
        vm.prank(vendor);
        vm.expectPartialRevert(ISettlement.NotThawed.selector);
        settlement.withdraw();
    }

    function test_revokeSigner_takesEffectAfterTheThaw() public {
        _fund(vendor, IOEX);
        vm.prank(vendor);
        settlement.revokeSigner(signer);
        vm.assertEq(settlement.signerOf(vendor, signer).validUntil, START + 7 days, "end");
        vm.warp(START + 7 days);
        vm.prank(vendor);
        settlement.authoriseSigner(signer, 1, type(uint64).max);
        vm.assertEq(settlement.signerOf(vendor, signer).validFrom, START + 7 days, "starts anew");
    }

    function test_registerPrice_isFixedOnceAndForItsRole() public {
        vm.expectPartialRevert(ISettlement.PriceTaken.selector);
        settlement.registerPrice(SERVICE, 1, 1, 1);
        vm.expectPartialRevert(ISettlement.PriceUnknown.selector);
        settlement.registerPrice(SERVICE, 2, 1, 0);
        vm.prank(vendor);
        vm.expectPartialRevert(IAccessControl.AccessControlUnauthorizedAccount.selector);
        settlement.registerPrice(SERVICE, 2, 1, 1);
    }

    function test_constructor_refusesTermsThatContradict() public {
        SettlementTerms memory terms = _terms();
        terms.rewardBps = 9_501;
        vm.expectRevert(ISettlement.TermsInvalid.selector);
        new Settlement(gas, pool, address(this), terms);
        terms = _terms();
        terms.withdrawThawS = terms.receiptClaimDelayS;
        vm.expectRevert(ISettlement.TermsInvalid.selector);
        new Settlement(gas, pool, address(this), terms);
    }

    function testFuzz_depositWithdraw_keepsTheBacking(uint256 first, uint256 second, uint256 part) public {
        first = first % 1_000e8 + 1e8;
        second = second % 1_000e8 + 1e8;
        _convert(vendor, first);
        gas.setPrice(3 * GAS + 7);
        _convert(vendor, second);
        uint256 all = gas.accountOf(vendor).gas18;
        part = all / 2 + part % (all / 2);
        vm.prank(vendor);
        settlement.deposit(part);
        vm.prank(vendor);
        settlement.requestWithdrawal(part);
        vm.warp(START + 14 days);
        vm.prank(vendor);
        settlement.withdraw();
        vm.assertEq(gas.accountOf(vendor).gas18, all, "gas");
        vm.assertEq(gas.accountOf(vendor).backingIoex, first + second, "backing");
    }
}
