// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ISettlement, RewardLeaf} from "../contracts/interfaces/ISettlement.sol";
import {IRewardPool} from "../contracts/interfaces/IRewardPool.sol";
import {EpochRoot, Payout, Vouchers} from "../contracts/types/Vouchers.sol";
import {MerkleTree} from "./MerkleTree.sol";
import {World} from "./World.sol";

contract EpochsTest is World {
    using MerkleTree for RewardLeaf[];
    using Vouchers for Payout;

    uint256 private constant K = 9_500;

    function setUp() public override {
        super.setUp();
        _fund(vendor, 100 * IOEX);
        _accrue(100 * IOEX);
    }

    function test_postEpochRoot_burnsTheDifferenceWithItsBacking() public {
        uint256 supply = token.totalSupply();
        _post(1, 10 * GAS, _one(server, 0, 0));
        _post(2, 30 * GAS, _one(server, 0, 0));
        vm.assertEq(token.totalSupply(), supply - 3 * IOEX, "burned");
        vm.assertEq(settlement.vendorOf(vendor).escrowGas18, 970 * GAS, "escrow");
        vm.assertEq(settlement.rewardOf(vendor), (3 * IOEX * K) / 10_000, "reward");
    }

    function test_postEpochRoot_refusesARepeatAndAStepBack() public {
        _post(2, 10 * GAS, _one(server, 0, 0));
        EpochRoot memory again = EpochRoot(vendor, 2, 10 * GAS, bytes32(0));
        vm.expectRevert(abi.encodeWithSelector(ISettlement.EpochNotRising.selector, 2, 2));
        settlement.postEpochRoot(again, "", 0);
        EpochRoot memory less = EpochRoot(vendor, 3, 10 * GAS - 1, bytes32(0));
        vm.expectRevert(abi.encodeWithSelector(ISettlement.TotalFalls.selector, 10 * GAS, 10 * GAS - 1));
        settlement.postEpochRoot(less, "", 0);
    }

    function test_postEpochRoot_refusesAForeignSigner() public {
        EpochRoot memory epochRoot = EpochRoot(vendor, 1, GAS, bytes32(0));
        bytes memory signature = _sign(DEVICE_KEY, settlement.digestOfEpochRoot(epochRoot));
        vm.expectPartialRevert(ISettlement.SignerNotAuthorised.selector);
        settlement.postEpochRoot(epochRoot, signature, 0);
    }

    function test_postEpochRoot_refusesASignerThatHasEnded() public {
        vm.prank(vendor);
        settlement.revokeSigner(signer);
        vm.warp(block.timestamp + 7 days);
        EpochRoot memory epochRoot = EpochRoot(vendor, 1, GAS, bytes32(0));
        bytes memory signature = _sign(SIGNER_KEY, settlement.digestOfEpochRoot(epochRoot));
        vm.expectPartialRevert(ISettlement.SignerNotAuthorised.selector);
        settlement.postEpochRoot(epochRoot, signature, 0);
    }

    function test_postEpochRoot_keepsToTheDailyCap() public {
        vm.prank(vendor);
        settlement.authoriseSigner(signer, uint128(5 * GAS), type(uint64).max);
        _post(1, 4 * GAS, _one(server, 0, 0));
        EpochRoot memory epochRoot = EpochRoot(vendor, 2, 6 * GAS, bytes32(0));
        bytes memory signature = _sign(SIGNER_KEY, settlement.digestOfEpochRoot(epochRoot));
        vm.expectRevert(abi.encodeWithSelector(ISettlement.DailyCapReached.selector, signer, GAS, 2 * GAS));
        settlement.postEpochRoot(epochRoot, signature, 0);
        vm.warp(block.timestamp + 1 days);
        settlement.postEpochRoot(epochRoot, signature, 0);
    }

    function test_postEpochRoot_refusesWhatTheEscrowDoesNotCover() public {
        EpochRoot memory epochRoot = EpochRoot(vendor, 1, 1_000 * GAS + 1, bytes32(0));
        bytes memory signature = _sign(SIGNER_KEY, settlement.digestOfEpochRoot(epochRoot));
        vm.expectPartialRevert(ISettlement.InsufficientEscrow.selector);
        settlement.postEpochRoot(epochRoot, signature, 0);
    }

    function test_postEpochRoot_isPutOffAtTheCeilingAndNeverDiluted() public {
        uint256 left = pool.ceiling();
        uint256 ioex = (left * 10_000) / K + 2;
        _fund(vendor, ioex);
        uint256 total = ioex * 1e11;
        RewardLeaf[] memory leaves = _one(server, (ioex * K) / 10_000, total);
        EpochRoot memory epochRoot = EpochRoot(vendor, 1, total, leaves.root());
        bytes memory signature = _sign(SIGNER_KEY, settlement.digestOfEpochRoot(epochRoot));
        vm.expectPartialRevert(IRewardPool.EmissionCeilingReached.selector);
        settlement.postEpochRoot(epochRoot, signature, 0);
        vm.warp(block.timestamp + 120);
        settlement.postEpochRoot(epochRoot, signature, 0);
        vm.assertEq(_claim(leaves, 0), (ioex * K) / 10_000, "whole");
    }

    function test_postEpochRoot_revertsWhenTheLeavesPromiseMore() public {
        uint256 reward = (IOEX * K) / 10_000;
        EpochRoot memory epochRoot = EpochRoot(vendor, 1, 10 * GAS, bytes32(0));
        bytes memory signature = _sign(SIGNER_KEY, settlement.digestOfEpochRoot(epochRoot));
        vm.expectRevert(abi.encodeWithSelector(ISettlement.RewardBelowLeaves.selector, reward, reward + 1));
        settlement.postEpochRoot(epochRoot, signature, reward + 1);
        settlement.postEpochRoot(epochRoot, signature, reward);
    }

    function test_claim_paysOnlyWhatIsAboveTheClaimsBefore() public {
        RewardLeaf[] memory leaves = _one(server, IOEX / 2, 6 * GAS);
        _post(1, 10 * GAS, leaves);
        vm.assertEq(_claim(leaves, 0), IOEX / 2, "first");
        vm.assertEq(_claim(leaves, 0), 0, "again");
        vm.assertEq(token.balanceOf(server), IOEX / 2, "balance");
        vm.assertEq(settlement.serverOf(vendor, server).creditedGas18, 5_263_158_210_526_315_789, "bought");
    }

    function test_claim_creditsTheWholeServiceWhenItIsPaidForFully() public {
        RewardLeaf[] memory leaves = _one(server, (IOEX * K) / 10_000, 10 * GAS);
        _post(1, 10 * GAS, leaves);
        _claim(leaves, 0);
        vm.assertEq(settlement.serverOf(vendor, server).creditedGas18, 10 * GAS, "credited");
    }

    /// @dev Otherwise a vendor could end a server's receipt claims with a worthless leaf.
    function test_claim_creditsNothingForALeafThatPaysNothing() public {
        RewardLeaf[] memory leaves = _one(server, 0, 10 * GAS);
        _post(1, 10 * GAS, leaves);
        vm.assertEq(_claim(leaves, 0), 0, "paid");
        vm.assertEq(settlement.serverOf(vendor, server).creditedGas18, 0, "credited");
    }

    function test_claim_neverExceedsKTimesTheBurned() public {
        RewardLeaf[] memory leaves = new RewardLeaf[](2);
        leaves[0] = RewardLeaf(server, IOEX, 5 * GAS);
        leaves[1] = RewardLeaf(other, IOEX, 5 * GAS);
        _post(1, 10 * GAS, leaves);
        _claim(leaves, 0);
        _claim(leaves, 1);
        vm.assertEq(token.balanceOf(server) + token.balanceOf(other), (IOEX * K) / 10_000, "capped");
    }

    function test_claim_refusesALeafThatIsNotInTheRoot() public {
        RewardLeaf[] memory leaves = _one(server, 1, 1);
        _post(1, 10 * GAS, leaves);
        leaves[0].cumulativeIoex = 2;
        vm.expectRevert(abi.encodeWithSelector(ISettlement.LeafNotInRoot.selector, vendor, server));
        settlement.claim(vendor, leaves[0], new bytes32[](0));
    }

    function test_claimMany_paysAllInOneTransaction() public {
        RewardLeaf[] memory leaves = new RewardLeaf[](5);
        bytes32[][] memory proofs = new bytes32[][](5);
        for (uint256 i = 0; i < 5; ++i) {
            leaves[i] = RewardLeaf(address(uint160(0x100 + i)), IOEX / 10, 2 * GAS);
        }
        for (uint256 i = 0; i < 5; ++i) {
            proofs[i] = leaves.proof(i);
        }
        _post(1, 10 * GAS, leaves);
        settlement.claimMany(vendor, leaves, proofs);
        for (uint256 i = 0; i < 5; ++i) {
            vm.assertEq(token.balanceOf(leaves[i].server), IOEX / 10, "paid");
        }
        vm.expectRevert(ISettlement.LengthsDiffer.selector);
        settlement.claimMany(vendor, leaves, new bytes32[][](4));
    }

    function test_setPayout_sendsRewardsToTheColdAddress() public {
        vm.prank(server);
        settlement.setPayout(other);
        RewardLeaf[] memory leaves = _one(server, IOEX / 2, 10 * GAS);
        _post(1, 10 * GAS, leaves);
        _claim(leaves, 0);
        vm.assertEq(token.balanceOf(other), IOEX / 2, "payout");
    }

    function test_setPayoutBySignature_worksOnce() public {
        bytes memory signature = _sign(SERVER_KEY, _payoutDigest(Payout(server, other, 0)));
        settlement.setPayoutBySignature(server, other, signature);
        vm.assertEq(settlement.payoutOf(server), other, "set");
        vm.expectRevert(abi.encodeWithSelector(ISettlement.PayoutNotSigned.selector, server));
        settlement.setPayoutBySignature(server, other, signature);
    }

    function testFuzz_postAndClaim_leavesSumToAtMostTheReward(uint256 gas18, uint256[4] memory shares) public {
        gas18 = gas18 % (900 * GAS) + 1;
        uint256 sum = 0;
        for (uint256 i = 0; i < 4; ++i) {
            shares[i] %= 1e12;
            sum += shares[i];
        }
        vm.assume(sum > 0);
        uint256 burned = (uint256(settlement.vendorOf(vendor).escrowIoex) * gas18)
            / settlement.vendorOf(vendor).escrowGas18;
        uint256 reward = (burned * K) / 10_000;
        RewardLeaf[] memory leaves = new RewardLeaf[](4);
        for (uint256 i = 0; i < 4; ++i) {
            leaves[i] =
                RewardLeaf(address(uint160(0x100 + i)), (reward * shares[i]) / sum, (gas18 * shares[i]) / sum);
        }
        _post(1, gas18, leaves);
        for (uint256 i = 0; i < 4; ++i) {
            vm.assertEq(_claim(leaves, i), leaves[i].cumulativeIoex, "exactly the leaf");
            if (leaves[i].cumulativeIoex > 0) {
                vm.assertEq(
                    settlement.serverOf(vendor, leaves[i].server).creditedGas18, leaves[i].cumulativeGas18, "credit"
                );
            }
        }
        vm.assertLe(settlement.vendorOf(vendor).paidIoex, reward, "at most k times the burned");
    }

    function _payoutDigest(Payout memory payout) private view returns (bytes32) {
        bytes32 domain = keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256("ioeX"),
                keccak256("1"),
                block.chainid,
                address(settlement)
            )
        );
        return keccak256(abi.encodePacked("\x19\x01", domain, payout.hash()));
    }
}
