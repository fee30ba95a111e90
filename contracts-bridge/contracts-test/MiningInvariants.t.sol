// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IoexToken} from "../contracts/IoexToken.sol";
import {MergedMining} from "../contracts/MergedMining.sol";
import {IMergedMining, MiningTip} from "../contracts/interfaces/IMergedMining.sol";
import {Miner} from "./Miner.sol";
import {Vm} from "./Vm.sol";

/// @notice Mines, tries again what was taken in, and claims, in any order and at any time.
contract MiningHandler {
    using Miner for Miner.Header;
    using Miner for MergedMining;

    Vm private constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));
    MergedMining private immutable MINING;
    uint256 private immutable STARTED_AT;

    bytes[] private _headers;
    bytes32[] public hashes;
    mapping(bytes32 hash => uint256) public timesClaimed;
    bool public acceptedTwice;
    bool public refusedWithoutReason;

    constructor(MergedMining mining) {
        MINING = mining;
        STARTED_AT = block.timestamp;
    }

    function count() external view returns (uint256) {
        return hashes.length;
    }

    function elapsed() external view returns (uint256) {
        return block.timestamp - STARTED_AT;
    }

    function mine(uint8 by, uint16 aheadS, uint16 waitS) external {
        vm.warp(block.timestamp + (waitS % 600));
        (, MiningTip memory tip) = MINING.tip();
        address miner = address(uint160(1_000 + uint256(by) % 5));
        Miner.Header memory header = MINING.next(miner, _max(block.timestamp, tip.time) + aheadS % 4_000 + 1);
        bytes memory encoded = header.encode();
        try MINING.submit(encoded, Miner.prove(encoded, header.bits), miner) returns (bytes32 hash) {
            _headers.push(encoded);
            hashes.push(hash);
        } catch (bytes memory reason) {
            bytes4 selector = bytes4(reason);
            if (selector != IMergedMining.AheadOfEmission.selector && selector != IMergedMining.WrongTime.selector) {
                refusedWithoutReason = true;
            }
        }
    }

    function submitAgain(uint256 which) external {
        if (_headers.length == 0) return;
        which %= _headers.length;
        bytes memory header = _headers[which];
        address miner = MINING.blockOf(hashes[which]).miner;
        try MINING.submit(header, Miner.prove(header, 0x207fffff), miner) {
            acceptedTwice = true;
        } catch {}
    }

    function claim(uint256 which) external {
        if (hashes.length == 0) return;
        bytes32 hash = hashes[which % hashes.length];
        try MINING.claim(hash) {
            ++timesClaimed[hash];
        } catch {}
    }

    function pass(uint32 seconds_) external {
        vm.warp(block.timestamp + (seconds_ % 3 days));
    }

    function _max(uint256 left, uint256 right) private pure returns (uint256) {
        return left > right ? left : right;
    }
}

/// @notice What holds of merged mining after any sequence of calls.
contract MiningInvariantsTest {
    Vm private constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));
    IoexToken private token;
    MergedMining private mining;
    MiningHandler private handler;

    function setUp() public {
        vm.warp(1_800_000_000);
        token = new IoexToken(address(this), address(this));
        mining = new MergedMining(token, 0x207fffff);
        token.transfer(address(mining), mining.ALLOCATION());
        handler = new MiningHandler(mining);
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(handler);
    }

    function invariant_minersNeverGetMoreThanTheAllocation() public view {
        (, MiningTip memory tip) = mining.tip();
        uint256 paid = mining.ALLOCATION() - token.balanceOf(address(mining));
        vm.assertLe(paid, tip.earned, "paid");
        vm.assertLe(tip.earned, mining.ALLOCATION(), "earned");
        vm.assertTrue(!handler.refusedWithoutReason(), "only time may put a valid header off");
        vm.assertEq(tip.earned, handler.count() * mining.REWARD(), "a reward for each header");
    }

    function invariant_minersNeverEarnMoreThanTimeAllows() public view {
        (, MiningTip memory tip) = mining.tip();
        vm.assertLe(tip.earned, mining.REWARD() + (handler.elapsed() * mining.REWARD()) / 120, "emission");
    }

    function invariant_noHeaderIsTakenInOrPaidTwice() public view {
        vm.assertTrue(!handler.acceptedTwice(), "accepted twice");
        uint256 unclaimed = 0;
        for (uint256 i = 0; i < handler.count(); ++i) {
            bytes32 hash = handler.hashes(i);
            vm.assertLe(handler.timesClaimed(hash), 1, "claimed twice");
            unclaimed += mining.blockOf(hash).unclaimed;
            vm.assertEq(mining.blockOf(hash).height, i + 1, "height");
        }
        (, MiningTip memory tip) = mining.tip();
        uint256 paid = mining.ALLOCATION() - token.balanceOf(address(mining));
        vm.assertEq(paid + unclaimed, tip.earned, "books");
    }
}
