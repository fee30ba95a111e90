// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Hashes} from "@openzeppelin/contracts/utils/cryptography/Hashes.sol";
import {RewardLeaf} from "../contracts/interfaces/ISettlement.sol";

/// @notice Roots and proofs as the bridge makes them: pairs sorted, a node without a partner goes up as it is.
library MerkleTree {
    function node(RewardLeaf memory leaf) internal pure returns (bytes32) {
        return keccak256(
            bytes.concat(keccak256(abi.encode(leaf.server, leaf.cumulativeIoex, leaf.cumulativeGas18)))
        );
    }

    function root(RewardLeaf[] memory leaves) internal pure returns (bytes32) {
        bytes32[] memory level = _nodes(leaves);
        while (level.length > 1) {
            level = _up(level);
        }
        return level[0];
    }

    function proof(RewardLeaf[] memory leaves, uint256 index) internal pure returns (bytes32[] memory found) {
        bytes32[] memory level = _nodes(leaves);
        bytes32[] memory path = new bytes32[](64);
        uint256 length = 0;
        while (level.length > 1) {
            uint256 partner = index ^ 1;
            if (partner < level.length) path[length++] = level[partner];
            level = _up(level);
            index /= 2;
        }
        found = new bytes32[](length);
        for (uint256 i = 0; i < length; ++i) {
            found[i] = path[i];
        }
    }

    function _nodes(RewardLeaf[] memory leaves) private pure returns (bytes32[] memory nodes) {
        nodes = new bytes32[](leaves.length);
        for (uint256 i = 0; i < leaves.length; ++i) {
            nodes[i] = node(leaves[i]);
        }
    }

    function _up(bytes32[] memory level) private pure returns (bytes32[] memory above) {
        above = new bytes32[]((level.length + 1) / 2);
        for (uint256 i = 0; i < above.length; ++i) {
            above[i] = 2 * i + 1 < level.length
                ? Hashes.commutativeKeccak256(level[2 * i], level[2 * i + 1])
                : level[2 * i];
        }
    }
}
