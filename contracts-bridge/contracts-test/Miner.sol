// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {MergedMining} from "../contracts/MergedMining.sol";
import {MiningTip} from "../contracts/interfaces/IMergedMining.sol";
import {Work} from "../contracts/mining/Work.sol";

/// @notice Mines headers for a contract whose target is so easy that every second try meets it.
library Miner {
    /// A header that follows the tip, and what a miner may choose in it.
    struct Header {
        bytes32 previous;
        bytes32 merkleRoot;
        uint32 time;
        uint32 bits;
        uint32 height;
    }

    function next(MergedMining mining, address miner, uint256 time) internal view returns (Header memory) {
        (bytes32 hash, MiningTip memory tip) = mining.tip();
        return Header(hash, mining.minerCommitment(miner), uint32(time), mining.nextBits(), tip.height + 1);
    }

    function encode(Header memory header) internal pure returns (bytes memory) {
        return abi.encodePacked(
            bytes4(0),
            header.previous,
            header.merkleRoot,
            _u32(header.time),
            _u32(header.bits),
            bytes4(0),
            _u32(header.height)
        );
    }

    function hashOf(bytes memory header) internal pure returns (bytes32) {
        return sha256(bytes.concat(sha256(header)));
    }

    /// @notice A proof with a tree of one chain, in a parent of one transaction.
    function prove(bytes memory header, uint32 bits) internal pure returns (bytes memory) {
        // The root is the reversed leaf, and the leaf is the reversed hash.
        bytes32 root = hashOf(header);
        bytes memory coinbase = abi.encodePacked(
            hex"02000000",
            hex"01",
            bytes32(0),
            hex"ffffffff",
            uint8(44),
            hex"fabe6d6d",
            root,
            hex"0100000000000000",
            bytes4(0),
            hex"01",
            bytes8(0),
            hex"0151",
            bytes4(0)
        );
        return abi.encodePacked(
            coinbase, bytes32(0), hex"00", bytes4(0), hex"00", bytes4(0), _parent(hashOf(coinbase), bits)
        );
    }

    function _parent(bytes32 merkleRoot, uint32 bits) private pure returns (bytes memory parent) {
        uint256 target = Work.targetOf(bits);
        for (uint32 nonce = 0;; ++nonce) {
            parent = abi.encodePacked(hex"02000000", bytes32(0), merkleRoot, bytes8(0), nonce);
            if (uint256(Work.reversed(hashOf(parent))) <= target) return parent;
        }
    }

    function _u32(uint32 value) private pure returns (bytes4) {
        return bytes4(uint32(uint256(Work.reversed(bytes32(uint256(value))) >> 224)));
    }
}
