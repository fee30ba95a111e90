// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {
    ISettlement,
    ReceiptEvidence,
    RewardLeaf,
    ServerAccount,
    VendorAccount
} from "../contracts/interfaces/ISettlement.sol";
import {GasCredit} from "../contracts/GasCredit.sol";
import {IoexToken} from "../contracts/IoexToken.sol";
import {RewardPool} from "../contracts/RewardPool.sol";
import {Settlement} from "../contracts/Settlement.sol";
import {EpochRoot, Grant, Vouchers} from "../contracts/types/Vouchers.sol";
import {MerkleTree} from "./MerkleTree.sol";
import {World} from "./World.sol";

/// @notice What people may do to the contracts, in any order. The vendor settles as the bridge does it: each epoch
/// bills what was served and not yet billed, and is one transaction with its claims. A second vendor signs nonsense.
contract Handler is World {
    using MerkleTree for RewardLeaf[];
    using Vouchers for Grant;

    uint256 public constant SERVERS = 3;
    uint64 public constant GRANT_BYTES = 1_000 << 30;
    uint256 private constant LIAR_KEY = 0x11A4;
    uint256 private constant K = 9_500;

    address public immutable LIAR = vm.addr(LIAR_KEY);

    Grant[] private grants;
    mapping(uint256 grant => mapping(uint256 server => uint64)) public served;
    mapping(uint256 grant => uint64) public servedInAll;
    mapping(uint256 server => uint256) public billed;
    mapping(uint256 server => uint256) private rewarded;
    uint256 public posts;
    uint256 public finished;

    constructor(IoexToken token_, GasCredit gas_, RewardPool pool_, Settlement settlement_) {
        (token, gas, pool, settlement) = (token_, gas_, pool_, settlement_);
        for (uint64 serial = 1; serial <= 4; ++serial) {
            grants.push(_grant(serial, GRANT_BYTES));
        }
    }

    function setUp() public override {}

    function vendorAddress() external view returns (address) {
        return vendor;
    }

    function serverAddress(uint256 index) public pure returns (address) {
        return vm.addr(SERVER_KEY + index);
    }

    /// @notice GAS worth of everything that was really served, floored per grant.
    function worth() external view returns (uint256 sum) {
        for (uint256 i = 0; i < grants.length; ++i) {
            sum += (uint256(servedInAll[i]) * (GAS / 100)) >> 30;
        }
    }

    function grantIdOf(uint256 index) external view returns (bytes32) {
        return grants[index].hash();
    }

    function fund(uint256 ioex, uint256 price, bool liar) external {
        gas.setPrice(price % (100 * GAS) + GAS);
        uint256 amount = ioex % 50e8 + 1e8;
        if (token.balanceOf(treasury) >= amount) _fund(liar ? LIAR : vendor, amount);
    }

    function serve(uint256 grant, uint256 to, uint64 amount) external {
        grant %= grants.length;
        to %= SERVERS;
        uint64 left = GRANT_BYTES - servedInAll[grant];
        amount = uint64(uint256(amount) % (uint256(left) + 1));
        served[grant][to] += amount;
        servedInAll[grant] += amount;
    }

    function settle(uint256 leaveOut) external {
        uint256 added = 0;
        uint256[] memory fresh = new uint256[](SERVERS);
        for (uint256 i = 0; i < SERVERS; ++i) {
            uint256 credited = settlement.serverOf(vendor, serverAddress(i)).creditedGas18;
            if (credited > billed[i]) billed[i] = credited;
            uint256 due = _worthOf(i);
            if (i == leaveOut % (SERVERS + 1) || due <= billed[i]) continue;
            fresh[i] = due - billed[i];
            added += fresh[i];
        }
        VendorAccount memory account = settlement.vendorOf(vendor);
        if (added == 0 || added > account.escrowGas18 - account.reservedGas18) return;
        uint256 burned = added == account.escrowGas18
            ? account.escrowIoex
            : (uint256(account.escrowIoex) * added) / account.escrowGas18;
        uint256 reward = ((account.burnedIoex + burned) * K) / 10_000 - settlement.rewardOf(vendor);
        _accrue(reward);
        _postWithClaims(account, fresh, added, reward);
    }

    function openClaim(uint256 to) external {
        to %= SERVERS;
        ReceiptEvidence[] memory evidence = new ReceiptEvidence[](grants.length);
        for (uint256 i = 0; i < grants.length; ++i) {
            evidence[i] = _evidence(grants[i], serverAddress(to), served[i][to], servedInAll[i]);
        }
        vm.prank(serverAddress(to));
        try settlement.claimWithReceipts(serverAddress(to), evidence) {}
        catch (bytes memory why) {
            _expect(why, ISettlement.ClaimTooSmall.selector);
        }
    }

    function finishClaim(uint256 to) external {
        to %= SERVERS;
        _accrue(100e8);
        uint256 claimableAt = settlement.serverOf(vendor, serverAddress(to)).claimableAt;
        if (block.timestamp < claimableAt) vm.warp(claimableAt);
        try settlement.finishReceiptClaim(vendor, serverAddress(to)) {
            ++finished;
        } catch (bytes memory why) {
            if (bytes4(why) != ISettlement.ClaimNotReady.selector) {
                _expect(why, ISettlement.InsufficientEscrow.selector);
            }
        }
    }

    function withdraw(uint256 part) external {
        VendorAccount memory account = settlement.vendorOf(vendor);
        vm.prank(vendor);
        settlement.requestWithdrawal(part % (uint256(account.escrowGas18) + 1));
        vm.warp(block.timestamp + 14 days);
        vm.prank(vendor);
        try settlement.withdraw() {}
        catch (bytes memory why) {
            _expect(why, ISettlement.NotThawed.selector);
        }
    }

    function wait(uint256 seconds_) external {
        vm.warp(block.timestamp + seconds_ % 3 days);
    }

    /// @notice A vendor that signs any leaves it likes: it can only give away what it burned.
    function lie(uint256 total, uint256 ioex, uint256 gas18, uint256 to) external {
        VendorAccount memory account = settlement.vendorOf(LIAR);
        _accrue(100e8);
        RewardLeaf[] memory leaves = _one(serverAddress(to % SERVERS), ioex % 1e20, gas18 % 1e30);
        EpochRoot memory epochRoot = EpochRoot(
            LIAR,
            account.epoch + 1,
            account.burnedGas18 + total % (uint256(account.escrowGas18 - account.reservedGas18) + 1),
            leaves.root()
        );
        if (settlement.signerOf(LIAR, signer).validUntil == 0) return;
        settlement.postEpochRoot(epochRoot, _sign(SIGNER_KEY, settlement.digestOfEpochRoot(epochRoot)), 0);
        settlement.claim(LIAR, leaves[0], leaves.proof(0));
    }

    function _postWithClaims(VendorAccount memory account, uint256[] memory fresh, uint256 added, uint256 reward)
        private
    {
        RewardLeaf[] memory leaves = new RewardLeaf[](SERVERS);
        uint256 sum = 0;
        for (uint256 i = 0; i < SERVERS; ++i) {
            uint256 paid = settlement.serverOf(vendor, serverAddress(i)).paidIoex;
            if (paid > rewarded[i]) rewarded[i] = paid;
            rewarded[i] += (reward * fresh[i]) / added;
            billed[i] += fresh[i];
            leaves[i] = RewardLeaf(serverAddress(i), rewarded[i], billed[i]);
            sum += rewarded[i];
        }
        bytes32[][] memory proofs = new bytes32[][](SERVERS);
        for (uint256 i = 0; i < SERVERS; ++i) {
            proofs[i] = leaves.proof(i);
        }
        EpochRoot memory epochRoot =
            EpochRoot(vendor, account.epoch + 1, account.burnedGas18 + added, leaves.root());
        bytes memory signature = _sign(SIGNER_KEY, settlement.digestOfEpochRoot(epochRoot));
        bytes[] memory calls = new bytes[](2);
        calls[0] = abi.encodeCall(settlement.postEpochRoot, (epochRoot, signature, sum));
        calls[1] = abi.encodeCall(settlement.claimMany, (vendor, leaves, proofs));
        settlement.multicall(calls);
        ++posts;
    }

    function _worthOf(uint256 to) private view returns (uint256 sum) {
        for (uint256 i = 0; i < grants.length; ++i) {
            sum += (uint256(served[i][to]) * (GAS / 100)) >> 30;
        }
    }

    function _expect(bytes memory why, bytes4 selector) private pure {
        vm.assertEq(bytes32(bytes4(why)), bytes32(selector), "refused for another reason");
    }
}
