// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @notice Where the chain of merge-mined headers ends, in one word of storage.
struct MiningTip {
    /// Of the last header; the first has 1.
    uint32 height;
    /// The compact target that the next header has to name, unless a period begins with it.
    uint32 bits;
    /// Unix seconds that the last header names.
    uint32 time;
    /// Unix seconds that the first header of the period names.
    uint32 periodStart;
    /// Unix seconds of the block that took the last header in.
    uint32 acceptedAt;
    /// Base units that were not earned yet when the last header was taken in.
    uint40 unearned;
    /// Base units that miners have earned, claimed or not.
    uint56 earned;
}

struct MinedBlock {
    address miner;
    uint32 height;
    /// Base units; 0 after the claim.
    uint64 unclaimed;
}

/// @title Merge-mined headers of ioeX, and the miners' share
/// @notice Miners of Bitcoin and its kin prove work for a header of ioeX (84 bytes, chain ID 1224, one in 2 minutes) by
/// AuxPoW. Headers are taken in one by one onto the last: the first valid one of a height stays, nothing is undone.
/// Each earns 4 ioeX from the mining allocation, by time at most 4 in 2 minutes; what nobody mined within a day is
/// not earned later. A header has no transactions: its Merkle root is {minerCommitment}, so that whoever passes a
/// header on cannot change who is paid. Everything is keyed on the header's hash; proofs are malleable.
interface IMergedMining {
    error HeaderLength(uint256 bytesLong);
    error NotOnTip(bytes32 tip);
    error WrongHeight(uint256 expected);
    error WrongBits(uint256 expected);
    /// @notice The header's time is not after the last one's, or more than two hours ahead of the chain.
    error WrongTime(uint256 earliest, uint256 latest);
    error MinerNotCommitted();
    /// @notice Miners have earned all that time allows; the header can come later.
    error AheadOfEmission(uint256 available);
    /// @notice The mining allocation has been earned in full.
    error AllocationSpent();
    error UnknownHeader();
    error AlreadyClaimed();

    event HeaderAccepted(bytes32 indexed hash, address indexed miner, uint256 height, bytes32 parentHash);
    event Claimed(bytes32 indexed hash, address indexed miner, uint256 ioex);

    /// @notice Takes in the header that follows the last one.
    /// @param header 84 bytes: version, previous hash, Merkle root, time, bits, nonce, height
    /// @param proof AuxPoW whose leaf is the reversed sha256d of the header
    /// @param miner who is paid; the header's Merkle root commits to this address
    function submit(bytes calldata header, bytes calldata proof, address miner) external returns (bytes32 hash);

    /// @notice Pays the miner of a header, once; anybody may ask.
    function claim(bytes32 hash) external returns (uint256 ioex);

    /// @notice What the Merkle root of a header has to be for this miner, on this chain and contract.
    function minerCommitment(address miner) external view returns (bytes32);

    function tip() external view returns (bytes32 hash, MiningTip memory state);

    function blockOf(bytes32 hash) external view returns (MinedBlock memory);

    /// @notice The compact target that the next header has to name.
    function nextBits() external view returns (uint32);

    /// @notice Checks any chain's proof whose parent is hashed with sha256d, work included.
    function verifyAuxPow(bytes calldata proof, bytes32 auxHash, uint32 chainId, uint32 bits)
        external
        view
        returns (bytes32 parentHash);

    /// @notice All rules but the work: for parents that are hashed with scrypt, which has no precompile.
    function verifyAuxPowStructure(bytes calldata proof, bytes32 auxHash, uint32 chainId)
        external
        view
        returns (bytes32 parentHash);
}
