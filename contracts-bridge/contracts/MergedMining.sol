// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {IMergedMining, MinedBlock, MiningTip} from "./interfaces/IMergedMining.sol";
import {AuxPow} from "./mining/AuxPow.sol";
import {Work} from "./mining/Work.sol";

/// @notice Takes headers in and pays their miners out of what it holds; see {IMergedMining}. Nobody has a right here.
contract MergedMining is IMergedMining {
    using SafeERC20 for IERC20;

    /// @notice 3 % of the genesis supply, in base units of 1e-8.
    uint256 public constant ALLOCATION = 6_000_000e8;
    /// @notice What one header earns.
    uint256 public constant REWARD = 4e8;
    uint32 public constant CHAIN_ID = 1_224;
    uint256 public constant TARGET_S = 120;
    /// @notice Headers between two changes of the target: a day of them.
    uint256 public constant PERIOD = 720;

    uint256 private constant MAX_FACTOR = 4;
    /// @dev Bitcoin's two hours.
    uint256 private constant MAX_AHEAD_S = 2 hours;
    uint256 private constant HEADER_BYTES = 84;

    IERC20 public immutable IOEX;
    /// @notice The easiest target, which is the first one as well.
    uint256 public immutable LIMIT;

    bytes32 private _hash;
    MiningTip private _tip;
    mapping(bytes32 hash => MinedBlock) private _blocks;

    constructor(IERC20 ioex, uint32 limitBits) {
        IOEX = ioex;
        LIMIT = Work.targetOf(limitBits);
        if (LIMIT == 0) revert WrongBits(limitBits);
        // What the first header follows: another one for each contract.
        _hash = keccak256(abi.encode(block.chainid, address(this)));
        _tip.bits = limitBits;
        _tip.acceptedAt = uint32(block.timestamp);
        _tip.unearned = uint40(REWARD);
    }

    /// @inheritdoc IMergedMining
    function submit(bytes calldata header, bytes calldata proof, address miner) external returns (bytes32 hash) {
        if (header.length != HEADER_BYTES) revert HeaderLength(header.length);
        if (bytes32(header[4:36]) != _hash) revert NotOnTip(_hash);
        if (bytes32(header[36:68]) != minerCommitment(miner)) revert MinerNotCommitted();
        hash = sha256(bytes.concat(sha256(header)));

        MiningTip memory next = _advanced(_tip, header);
        bytes32 parentHash = AuxPow.verify(proof, Work.reversed(hash), CHAIN_ID);
        Work.check(parentHash, next.bits);

        _hash = hash;
        _tip = next;
        _blocks[hash] = MinedBlock(miner, next.height, uint64(REWARD));
        emit HeaderAccepted(hash, miner, next.height, parentHash);
    }

    /// @inheritdoc IMergedMining
    function claim(bytes32 hash) external returns (uint256 ioex) {
        MinedBlock storage mined = _blocks[hash];
        address miner = mined.miner;
        if (mined.height == 0) revert UnknownHeader();
        ioex = mined.unclaimed;
        if (ioex == 0) revert AlreadyClaimed();
        mined.unclaimed = 0;
        emit Claimed(hash, miner, ioex);
        IOEX.safeTransfer(miner, ioex);
    }

    /// @inheritdoc IMergedMining
    function minerCommitment(address miner) public view returns (bytes32) {
        return keccak256(abi.encode(block.chainid, address(this), miner));
    }

    /// @inheritdoc IMergedMining
    function tip() external view returns (bytes32, MiningTip memory) {
        return (_hash, _tip);
    }

    /// @inheritdoc IMergedMining
    function blockOf(bytes32 hash) external view returns (MinedBlock memory) {
        return _blocks[hash];
    }

    /// @inheritdoc IMergedMining
    function nextBits() external view returns (uint32) {
        return _bitsAfter(_tip);
    }

    /// @inheritdoc IMergedMining
    function verifyAuxPow(bytes calldata proof, bytes32 auxHash, uint32 chainId, uint32 bits)
        external
        view
        returns (bytes32 parentHash)
    {
        parentHash = AuxPow.verify(proof, auxHash, chainId);
        Work.check(parentHash, bits);
    }

    /// @inheritdoc IMergedMining
    function verifyAuxPowStructure(bytes calldata proof, bytes32 auxHash, uint32 chainId)
        external
        view
        returns (bytes32)
    {
        return AuxPow.verify(proof, auxHash, chainId);
    }

    /// @dev The tip with the header on it; refuses a header that does not follow.
    function _advanced(MiningTip memory last, bytes calldata header) private view returns (MiningTip memory next) {
        uint256 height = uint256(last.height) + 1;
        uint256 bits = _bitsAfter(last);
        uint256 time = _u32(header[68:72]);
        if (_u32(header[72:76]) != bits) revert WrongBits(bits);
        if (_u32(header[80:84]) != height) revert WrongHeight(height);
        uint256 latest = block.timestamp + MAX_AHEAD_S;
        if (time <= last.time || time > latest) revert WrongTime(uint256(last.time) + 1, latest);
        if (last.earned + REWARD > ALLOCATION) revert AllocationSpent();
        uint256 unearned = last.unearned + ((block.timestamp - last.acceptedAt) * REWARD) / TARGET_S;
        if (unearned > PERIOD * REWARD) unearned = PERIOD * REWARD;
        if (unearned < REWARD) revert AheadOfEmission(unearned);
        return MiningTip({
            height: uint32(height),
            bits: uint32(bits),
            time: uint32(time),
            periodStart: _beginsPeriod(height) ? uint32(time) : last.periodStart,
            acceptedAt: uint32(block.timestamp),
            unearned: uint40(unearned - REWARD),
            earned: uint56(last.earned + REWARD)
        });
    }

    function _bitsAfter(MiningTip memory last) private view returns (uint32) {
        if (last.height == 0 || !_beginsPeriod(uint256(last.height) + 1)) return last.bits;
        uint256 took = uint256(last.time) - last.periodStart;
        return Work.bitsOf(
            Work.retargeted(Work.targetOf(last.bits), took, PERIOD * TARGET_S, MAX_FACTOR, LIMIT)
        );
    }

    function _beginsPeriod(uint256 height) private pure returns (bool) {
        return height % PERIOD == 1;
    }

    /// @dev Little-endian.
    function _u32(bytes calldata four) private pure returns (uint256) {
        return uint256(uint8(four[0])) | (uint256(uint8(four[1])) << 8) | (uint256(uint8(four[2])) << 16)
            | (uint256(uint8(four[3])) << 24);
    }
}
