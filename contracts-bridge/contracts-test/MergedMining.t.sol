// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IoexToken} from "../contracts/IoexToken.sol";
import {MergedMining} from "../contracts/MergedMining.sol";
import {IMergedMining, MinedBlock, MiningTip} from "../contracts/interfaces/IMergedMining.sol";
import {AuxPow} from "../contracts/mining/AuxPow.sol";
import {Work} from "../contracts/mining/Work.sol";
import {Miner} from "./Miner.sol";
import {Vm} from "./Vm.sol";

contract MergedMiningTest {
    using Miner for Miner.Header;
    using Miner for MergedMining;

    Vm private constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));
    uint256 private constant START = 1_800_000_000;
    uint32 private constant EASY = 0x207fffff;
    string private constant NAMECOIN = "test/vectors/auxpow/namecoin_header_37174.fullheader.hex";
    uint32 private constant NAMECOIN_BITS = 0x1a242a4a;

    IoexToken private token;
    MergedMining private mining;
    address private miner = address(0x314E);

    function setUp() public {
        vm.warp(START);
        token = new IoexToken(address(this), address(this));
        mining = new MergedMining(token, EASY);
        token.transfer(address(mining), mining.ALLOCATION());
    }

    function _submit(Miner.Header memory header, address by) private returns (bytes32) {
        bytes memory encoded = header.encode();
        return mining.submit(encoded, Miner.prove(encoded, header.bits), by);
    }

    function _refuse(Miner.Header memory header, bytes4 selector) private {
        bytes memory encoded = header.encode();
        bytes memory proof = Miner.prove(encoded, header.bits);
        vm.expectPartialRevert(selector);
        mining.submit(encoded, proof, miner);
    }

    function test_submit_earnsTheMinerFourCoins_onceClaimed() public {
        bytes32 hash = _submit(mining.next(miner, START), miner);
        (bytes32 tip, MiningTip memory state) = mining.tip();
        vm.assertEq(tip, hash, "tip");
        vm.assertEq(state.height, 1, "height");
        vm.assertEq(mining.claim(hash), 4e8, "four coins");
        vm.assertEq(token.balanceOf(miner), 4e8, "paid");
        vm.expectRevert(IMergedMining.AlreadyClaimed.selector);
        mining.claim(hash);
    }

    function test_submit_refusesAHeaderTwice_alsoWithAnotherProofOfIt() public {
        Miner.Header memory header = mining.next(miner, START);
        bytes memory encoded = header.encode();
        bytes memory proof = Miner.prove(encoded, EASY);
        mining.submit(encoded, proof, miner);
        vm.warp(START + 1 days);
        vm.expectPartialRevert(IMergedMining.NotOnTip.selector);
        mining.submit(encoded, proof, miner);
        // The parent's hash, behind the coinbase of 106 bytes, may be anything.
        proof[106] = 0xff;
        vm.expectPartialRevert(IMergedMining.NotOnTip.selector);
        mining.submit(encoded, proof, miner);
    }

    function test_submit_refusesAnotherMinerThanTheHeaderCommitsTo() public {
        bytes memory encoded = mining.next(miner, START).encode();
        bytes memory proof = Miner.prove(encoded, EASY);
        vm.expectRevert(IMergedMining.MinerNotCommitted.selector);
        mining.submit(encoded, proof, address(this));
    }

    function test_submit_refusesWhatDoesNotFollow() public {
        Miner.Header memory header = mining.next(miner, START);
        header.height = 2;
        _refuse(header, IMergedMining.WrongHeight.selector);
        header = mining.next(miner, START);
        header.bits = 0x207ffffe;
        _refuse(header, IMergedMining.WrongBits.selector);
        _refuse(mining.next(miner, START + 2 hours + 1), IMergedMining.WrongTime.selector);
        _submit(mining.next(miner, START), miner);
        vm.warp(START + 120);
        _refuse(mining.next(miner, START), IMergedMining.WrongTime.selector);
        vm.expectRevert(abi.encodeWithSelector(IMergedMining.HeaderLength.selector, 80));
        mining.submit(new bytes(80), "", miner);
    }

    function test_submit_refusesAProofForAnotherHeaderOrTooLittleWork() public {
        bytes memory encoded = mining.next(miner, START).encode();
        bytes memory proof = Miner.prove(mining.next(miner, START + 1).encode(), EASY);
        vm.expectRevert(AuxPow.ChainRootMissing.selector);
        mining.submit(encoded, proof, miner);
        MergedMining hard = new MergedMining(token, 0x1d00ffff);
        encoded = Miner.next(hard, miner, START).encode();
        proof = Miner.prove(encoded, EASY);
        vm.expectRevert(Work.WorkBelowTarget.selector);
        hard.submit(encoded, proof, miner);
    }

    function test_submit_putsOffWhatComesFasterThanTwoMinutes() public {
        _submit(mining.next(miner, START), miner);
        vm.warp(START + 119);
        Miner.Header memory header = mining.next(miner, START + 60);
        _refuse(header, IMergedMining.AheadOfEmission.selector);
        vm.warp(START + 120);
        _submit(header, miner);
    }

    function test_submit_keepsWhatNobodyMinedForADayOnly() public {
        vm.warp(START + 30 days);
        uint256 time = block.timestamp;
        for (uint256 i = 0; i < mining.PERIOD(); ++i) {
            _submit(mining.next(miner, time + i), miner);
        }
        _refuse(mining.next(miner, time + 720), IMergedMining.AheadOfEmission.selector);
        // 720 headers in 12 minutes instead of a day: four times the work.
        vm.assertEq(mining.nextBits(), 0x201fffff, "a quarter of the target");
    }

    function test_claim_ofWhatWasNeverTakenInIsRefused() public {
        vm.expectRevert(IMergedMining.UnknownHeader.selector);
        mining.claim(keccak256("nothing"));
    }

    function test_allocation_isThreePercentOfTheSupplyInWholeRewards() public view {
        vm.assertEq(mining.ALLOCATION() * 100, token.GENESIS_SUPPLY() * 3, "three percent");
        vm.assertEq(mining.ALLOCATION() % mining.REWARD(), 0, "whole rewards");
    }

    function test_submit_endsWithTheAllocation() public {
        // The tip is the second word of storage, and what was earned its highest 56 bits.
        bytes32 word = vm.load(address(mining), bytes32(uint256(1)));
        uint256 earned = mining.ALLOCATION() - mining.REWARD();
        vm.store(address(mining), bytes32(uint256(1)), word | bytes32(earned << 200));
        _submit(mining.next(miner, START), miner);
        (, MiningTip memory state) = mining.tip();
        vm.assertEq(state.earned, mining.ALLOCATION(), "all of it");
        vm.warp(START + 1 days);
        _refuse(mining.next(miner, START + 120), IMergedMining.AllocationSpent.selector);
    }

    function test_retargeted_staysWithinAFactorOfFourAndTheLimit() public pure {
        uint256 target = Work.targetOf(0x1d00ffff);
        uint256 limit = Work.targetOf(0x1e00f8ff);
        vm.assertEq(Work.retargeted(target, 86_400, 86_400, 4, limit), target, "in time");
        vm.assertEq(Work.retargeted(target, 43_200, 86_400, 4, limit), target / 2, "twice as fast");
        vm.assertEq(Work.retargeted(target, 1, 86_400, 4, limit), target / 4, "much too fast");
        vm.assertEq(Work.retargeted(target, 1e9, 86_400, 4, limit), target * 4, "much too slow");
        vm.assertEq(Work.retargeted(limit, 1e9, 86_400, 4, limit), limit, "limit");
        uint256 easy = Work.targetOf(EASY);
        vm.assertEq(Work.retargeted(easy, 1e9, 86_400, 4, easy), easy, "close to 2^256");
    }

    function test_verifyAuxPow_acceptsNamecoin37174() public view {
        (bytes memory proof, bytes32 auxHash) = _namecoin();
        bytes32 parent = mining.verifyAuxPow(proof, auxHash, 1, NAMECOIN_BITS);
        vm.assertEq(
            Work.reversed(parent), 0x00000000000024111173f561b36ad4906df95f52503a79332d7f540c2a57db84, "parent"
        );
    }

    function testFuzz_verifyAuxPow_refusesEachChangedBitButTheFreeOnes(uint256 at) public {
        (bytes memory proof, bytes32 auxHash) = _namecoin();
        at %= proof.length * 8;
        proof[at / 8] ^= bytes1(uint8(1 << (at % 8)));
        // The parent's hash: bytes 1318 to 1349 of the file, whose header has 80.
        bool free = at / 8 >= 1_318 - 80 && at / 8 < 1_350 - 80;
        (bool accepted,) =
            address(mining).staticcall(abi.encodeCall(mining.verifyAuxPow, (proof, auxHash, 1, NAMECOIN_BITS)));
        vm.assertTrue(accepted == free, "a changed bit");
    }

    function testFuzz_slot_liesInTheTree(uint32 nonce, uint16 chainId, uint8 height) public pure {
        height %= 31;
        vm.assertLt(AuxPow.slot(nonce, chainId, height), 1 << height, "slot");
    }

    function testFuzz_bits_areTheTargetToThreeBytes(uint256 target) public pure {
        target = (target >> 1) | 1 << 32;
        uint256 rounded = Work.targetOf(Work.bitsOf(target));
        vm.assertLe(rounded, target, "never easier");
        vm.assertLe(target - rounded, target >> 15, "three bytes");
        vm.assertEq(Work.bitsOf(rounded), Work.bitsOf(target), "canonical");
    }

    function testFuzz_reversed_twiceIsTheSame(bytes32 value) public pure {
        vm.assertEq(Work.reversed(Work.reversed(value)), value, "involution");
    }

    function _namecoin() private view returns (bytes memory proof, bytes32 auxHash) {
        bytes memory file = vm.parseBytes(vm.trim(vm.readFile(NAMECOIN)));
        bytes memory header = new bytes(80);
        proof = new bytes(file.length - 80);
        for (uint256 i = 0; i < file.length; ++i) {
            if (i < 80) header[i] = file[i];
            else proof[i - 80] = file[i];
        }
        auxHash = Miner.hashOf(header);
    }
}
