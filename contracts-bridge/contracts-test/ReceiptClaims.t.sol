// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ISettlement, ReceiptEvidence, RewardLeaf} from "../contracts/interfaces/ISettlement.sol";
import {EpochRoot, Grant, Receipt, Vouchers} from "../contracts/types/Vouchers.sol";
import {MerkleTree} from "./MerkleTree.sol";
import {World} from "./World.sol";

contract ReceiptClaimsTest is World {
    using MerkleTree for RewardLeaf[];
    using Vouchers for Grant;

    uint64 private constant GIB = 1 << 30;
    /// @dev 1,000 GiB cost 10 GAS, behind which stands one coin.
    uint64 private constant BYTES = 1_000 * GIB;
    uint256 private constant REWARD = (IOEX * 9_500) / 10_000;

    function setUp() public override {
        super.setUp();
        _fund(vendor, 100 * IOEX);
        _accrue(200 * IOEX);
    }

    function test_claimWithReceipts_isPaidAfterTheDelay() public {
        _open(_evidence(_grant(1, BYTES), server, BYTES, BYTES));
        vm.warp(block.timestamp + 1 days - 1);
        vm.expectPartialRevert(ISettlement.ClaimNotReady.selector);
        settlement.finishReceiptClaim(vendor, server);
        vm.warp(block.timestamp + 1);
        vm.assertEq(settlement.finishReceiptClaim(vendor, server), REWARD, "paid");
        vm.assertEq(token.balanceOf(server), REWARD, "balance");
        vm.assertEq(settlement.vendorOf(vendor).burnedGas18, 10 * GAS, "burned");
        vm.assertEq(settlement.vendorOf(vendor).paidIoex, REWARD, "counted for the vendor");
        vm.expectPartialRevert(ISettlement.ClaimNotReady.selector);
        settlement.finishReceiptClaim(vendor, server);
    }

    function test_claimWithReceipts_isWorthNothingTwice() public {
        ReceiptEvidence memory evidence = _evidence(_grant(1, BYTES), server, BYTES, BYTES);
        _open(evidence);
        vm.warp(block.timestamp + 1 days);
        settlement.finishReceiptClaim(vendor, server);
        vm.expectRevert(abi.encodeWithSelector(ISettlement.ClaimTooSmall.selector, 0, GAS / 100));
        vm.prank(server);
        settlement.claimWithReceipts(server, _list(evidence));
    }

    function test_claimWithReceipts_paysOnlyTheRiseOfALaterReceipt() public {
        Grant memory grant = _grant(1, BYTES);
        _open(_evidence(grant, server, BYTES / 4, BYTES / 4));
        _open(_evidence(grant, server, BYTES / 2, BYTES / 2));
        vm.assertEq(settlement.serverOf(vendor, server).provenGas18, 5 * GAS, "cumulative");
    }

    function test_claimWithReceipts_findsNothingAfterTheEpochPaid() public {
        RewardLeaf[] memory leaves = _one(server, REWARD, 10 * GAS);
        ReceiptEvidence memory evidence = _evidence(_grant(1, BYTES), server, BYTES, BYTES);
        _post(1, 10 * GAS, leaves);
        _claim(leaves, 0);
        vm.expectPartialRevert(ISettlement.ClaimTooSmall.selector);
        vm.prank(server);
        settlement.claimWithReceipts(server, _list(evidence));
    }

    /// @dev The attack: show receipts for service whose leaf is in the root but was not claimed yet.
    function test_finishReceiptClaim_paysNothingWhenTheLeafIsPushedInTime() public {
        RewardLeaf[] memory leaves = _one(server, REWARD, 10 * GAS);
        ReceiptEvidence memory evidence = _evidence(_grant(1, BYTES), server, BYTES, BYTES);
        _post(1, 10 * GAS, leaves);
        _open(evidence);
        vm.assertEq(settlement.vendorOf(vendor).reservedGas18, 10 * GAS, "reserved");
        _claim(leaves, 0);
        vm.assertEq(settlement.vendorOf(vendor).reservedGas18, 0, "freed by the payment");
        vm.warp(block.timestamp + 1 days);
        vm.assertEq(settlement.finishReceiptClaim(vendor, server), 0, "nothing");
        vm.assertEq(token.balanceOf(server), REWARD, "once");
        vm.assertEq(settlement.vendorOf(vendor).burnedGas18, 10 * GAS, "the vendor paid once");
    }

    /// @dev Even if nobody pushes the leaf in time, the server gets its reward once.
    function test_claim_paysNothingAfterAReceiptClaimPaidTheSameService() public {
        RewardLeaf[] memory leaves = _one(server, REWARD, 10 * GAS);
        _open(_evidence(_grant(1, BYTES), server, BYTES, BYTES));
        _post(1, 10 * GAS, leaves);
        vm.warp(block.timestamp + 1 days);
        settlement.finishReceiptClaim(vendor, server);
        vm.assertEq(_claim(leaves, 0), 0, "leaf");
        vm.assertEq(token.balanceOf(server), REWARD, "once");
    }

    function test_postEpochRoot_burnsOnlyWhatReceiptClaimsHaveNot() public {
        _open(_evidence(_grant(1, BYTES), server, BYTES, BYTES));
        vm.warp(block.timestamp + 1 days);
        settlement.finishReceiptClaim(vendor, server);
        RewardLeaf[] memory leaves = new RewardLeaf[](2);
        leaves[0] = RewardLeaf(server, REWARD, 10 * GAS);
        leaves[1] = RewardLeaf(other, REWARD, 10 * GAS);
        _post(1, 20 * GAS, leaves);
        vm.assertEq(settlement.vendorOf(vendor).burnedGas18, 20 * GAS, "only the other's");
        vm.assertEq(_claim(leaves, 0), 0, "paid before");
        vm.assertEq(_claim(leaves, 1), REWARD, "the other");
    }

    function test_claimWithReceipts_keepsAllServersWithinTheGrant() public {
        Grant memory grant = _grant(1, BYTES);
        ReceiptEvidence memory second = _evidence(grant, other, BYTES, BYTES);
        _open(_evidence(grant, server, BYTES - 10 * GIB, BYTES));
        vm.prank(other);
        settlement.claimWithReceipts(other, _list(second));
        vm.assertEq(settlement.serverOf(vendor, other).provenGas18, GAS / 10, "what is left of the grant");
        (, uint64 all) = settlement.grantBytesOf(grant.hash(), other);
        vm.assertEq(all, BYTES, "all bytes");
    }

    function test_claimWithReceipts_refusesWhatIsBelowTheMinimum() public {
        ReceiptEvidence memory evidence = _evidence(_grant(1, BYTES), server, GIB - 1, BYTES);
        vm.expectPartialRevert(ISettlement.ClaimTooSmall.selector);
        vm.prank(server);
        settlement.claimWithReceipts(server, _list(evidence));
    }

    function test_claimWithReceipts_refusesStrangers() public {
        ReceiptEvidence memory evidence = _evidence(_grant(1, BYTES), server, BYTES, BYTES);
        vm.expectRevert(abi.encodeWithSelector(ISettlement.NotTheServer.selector, other, server));
        vm.prank(other);
        settlement.claimWithReceipts(server, _list(evidence));
    }

    function test_claimWithReceipts_worksFromThePayoutAddress() public {
        vm.prank(server);
        settlement.setPayout(other);
        ReceiptEvidence memory evidence = _evidence(_grant(1, BYTES), server, BYTES, BYTES);
        vm.prank(other);
        settlement.claimWithReceipts(server, _list(evidence));
        vm.warp(block.timestamp + 1 days);
        settlement.finishReceiptClaim(vendor, server);
        vm.assertEq(token.balanceOf(other), REWARD, "payout");
    }

    function test_claimWithReceipts_refusesReceiptsThatDoNotFit() public {
        Grant memory grant = _grant(1, BYTES);
        _refused(_evidence(grant, other, BYTES, BYTES), ISettlement.ReceiptInvalid.selector);
        _refused(_evidence(grant, server, BYTES, BYTES - 1), ISettlement.ReceiptInvalid.selector);
        _refused(_evidence(grant, server, BYTES + 1, BYTES + 1), ISettlement.ReceiptInvalid.selector);
        ReceiptEvidence memory swapped = _evidence(grant, server, BYTES, BYTES);
        swapped.grant.maxBytes += 1;
        _refused(swapped, ISettlement.ReceiptInvalid.selector);
    }

    function test_claimWithReceipts_refusesForeignSignatures() public {
        ReceiptEvidence memory evidence = _evidence(_grant(1, BYTES), server, BYTES, BYTES);
        bytes memory genuine = evidence.receiptSignature;
        evidence.receiptSignature = _sign(SERVER_KEY, settlement.digestOfReceipt(evidence.receipt));
        _refused(evidence, ISettlement.ReceiptNotSigned.selector);
        evidence.receiptSignature = genuine;
        evidence.grantSignature = _sign(DEVICE_KEY, settlement.digestOfGrant(evidence.grant));
        _refused(evidence, ISettlement.SignerNotAuthorised.selector);
    }

    function test_claimWithReceipts_refusesAnUnknownPrice() public {
        Grant memory grant = _grant(1, BYTES);
        grant.priceVersion = 2;
        _refused(_evidence(grant, server, BYTES, BYTES), ISettlement.PriceUnknown.selector);
    }

    function test_claimWithReceipts_refusesTwoVendorsInOneClaim() public {
        ReceiptEvidence[] memory list = new ReceiptEvidence[](2);
        list[0] = _evidence(_grant(1, BYTES), server, BYTES, BYTES);
        Grant memory foreign = _grant(2, BYTES);
        foreign.vendor = other;
        list[1] = _evidence(foreign, server, BYTES, BYTES);
        vm.expectRevert(abi.encodeWithSelector(ISettlement.VendorsDiffer.selector, vendor, other));
        vm.prank(server);
        settlement.claimWithReceipts(server, list);
    }

    /// @dev Grants begin some minutes before they are signed, so the first ones begin before the authority.
    function test_claimWithReceipts_takesGrantsThatBeganShortlyBeforeTheAuthority() public {
        vm.prank(vendor);
        settlement.revokeSigner(signer);
        vm.warp(block.timestamp + 7 days);
        vm.prank(vendor);
        settlement.authoriseSigner(signer, type(uint128).max, type(uint64).max);
        Grant memory grant = _grant(1, BYTES);
        grant.notBefore -= 5 minutes;
        _open(_evidence(grant, server, BYTES, BYTES));
        grant = _grant(2, BYTES);
        grant.notAfter = uint64(block.timestamp - 1);
        _refused(_evidence(grant, server, BYTES, BYTES), ISettlement.SignerNotAuthorised.selector);
    }

    /// @dev A stolen key could otherwise date grants back after its revocation.
    function test_claimWithReceipts_endsAfterTheSignersEnd() public {
        ReceiptEvidence memory early = _evidence(_grant(1, BYTES), server, BYTES, BYTES);
        vm.prank(vendor);
        settlement.revokeSigner(signer);
        vm.warp(block.timestamp + 7 days);
        _refused(_evidence(_grant(2, BYTES), server, BYTES, BYTES), ISettlement.SignerNotAuthorised.selector);
        vm.warp(block.timestamp + 7 days - 1);
        _open(early);
        vm.warp(block.timestamp + 1);
        _refused(early, ISettlement.SignerNotAuthorised.selector);
    }

    function test_withdraw_leavesWhatIsReserved() public {
        vm.prank(vendor);
        settlement.requestWithdrawal(1_000 * GAS);
        vm.warp(block.timestamp + 14 days - 1 hours);
        _open(_evidence(_grant(1, BYTES), server, BYTES, BYTES));
        vm.warp(block.timestamp + 1 hours);
        vm.prank(vendor);
        vm.assertEq(settlement.withdraw(), 990 * GAS, "all but the reserved");
        vm.warp(block.timestamp + 1 days);
        vm.assertEq(settlement.finishReceiptClaim(vendor, server), REWARD, "paid in full");
    }

    /// @dev Burning the escrow for a server of its own would cost a vendor 5 %, but it cannot starve a claim.
    function test_postEpochRoot_leavesWhatIsReserved() public {
        _open(_evidence(_grant(1, BYTES), server, BYTES, BYTES));
        EpochRoot memory epochRoot = EpochRoot(vendor, 1, 990 * GAS + 1, bytes32(0));
        bytes memory signature = _sign(SIGNER_KEY, settlement.digestOfEpochRoot(epochRoot));
        vm.expectPartialRevert(ISettlement.InsufficientEscrow.selector);
        settlement.postEpochRoot(epochRoot, signature, 0);
    }

    function test_finishReceiptClaim_isPaidInPartsUnderTheDailyCap() public {
        vm.prank(vendor);
        settlement.authoriseSigner(signer, uint128(4 * GAS), type(uint64).max);
        _open(_evidence(_grant(1, BYTES), server, BYTES, BYTES));
        uint256 paid = 0;
        for (uint256 day = 1; day <= 3; ++day) {
            vm.warp(block.timestamp + 1 days);
            paid += settlement.finishReceiptClaim(vendor, server);
            if (day == 3) break;
            vm.expectPartialRevert(ISettlement.DailyCapReached.selector);
            settlement.finishReceiptClaim(vendor, server);
        }
        vm.assertEq(paid, REWARD, "all of it");
    }

    function test_finishReceiptClaim_isNotEndedByAWorthlessLeaf() public {
        _open(_evidence(_grant(1, BYTES), server, BYTES, BYTES));
        RewardLeaf[] memory leaves = _one(server, 1, 10 * GAS);
        _post(1, 10 * GAS, leaves);
        _claim(leaves, 0);
        vm.warp(block.timestamp + 1 days);
        vm.assertGe(settlement.finishReceiptClaim(vendor, server) + 5, REWARD, "still paid");
    }

    /// @dev Any mix of both ways pays a server at most `k` times the ioeX behind what its receipts are worth.
    function testFuzz_bothWays_neverPayTwice(uint64 served, uint256 inEpoch, bool leafFirst) public {
        served = uint64((served % (BYTES - 2 * GIB)) + 2 * GIB);
        uint256 gas18 = (uint256(served) * (GAS / 100)) / GIB;
        inEpoch %= gas18 + 1;
        RewardLeaf[] memory leaves = _one(server, (inEpoch * 9_500) / 10_000 / 1e11, inEpoch);
        _post(1, inEpoch, leaves);
        bool pays = leaves[0].cumulativeIoex > 0;
        if (leafFirst) _claim(leaves, 0);
        ReceiptEvidence memory evidence = _evidence(_grant(1, BYTES), server, served, served);
        vm.prank(server);
        try settlement.claimWithReceipts(server, _list(evidence)) {
            if (!leafFirst) _claim(leaves, 0);
            vm.warp(block.timestamp + 1 days);
            settlement.finishReceiptClaim(vendor, server);
            if (pays) vm.assertEq(settlement.serverOf(vendor, server).creditedGas18, gas18, "all settled");
        } catch {
            vm.assertLt(gas18 - inEpoch, GAS / 100, "only what is too small is refused");
            if (!leafFirst) _claim(leaves, 0);
        }
        vm.assertLe(token.balanceOf(server), (gas18 * 9_500) / 10_000 / 1e11, "paid once");
    }

    function _open(ReceiptEvidence memory evidence) private {
        vm.prank(evidence.receipt.server);
        settlement.claimWithReceipts(evidence.receipt.server, _list(evidence));
    }

    function _refused(ReceiptEvidence memory evidence, bytes4 selector) private {
        vm.expectPartialRevert(selector);
        vm.prank(server);
        settlement.claimWithReceipts(server, _list(evidence));
    }
}
