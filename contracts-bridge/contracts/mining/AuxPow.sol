// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Work} from "./Work.sol";

/// @title Proofs of merged mining
/// @notice The rules of namecoin-core `auxpow.cpp` over a proof as it is on the wire: `coinbase | hashBlock | branch,
/// index | chain branch, index | parent header`. Hashes are in the order in which sha256 gives them. An error is one
/// rule; the first that is broken is told. `contracts-bridge/auxpow` says the same in TypeScript.
/// @dev The proof is copied into memory once, so that the precompile can hash any part of it where it lies.
library AuxPow {
    /// @notice The bytes do not have the shape of a proof.
    error Malformed();
    error CoinbaseIndexNotZero();
    error ParentHasOwnChainId();
    error ChainBranchTooLong();
    error CoinbaseNotInParent();
    error CoinbaseHasNoInputs();
    error ChainRootMissing();
    error MagicTwice();
    error MagicNotBeforeRoot();
    error ChainRootTooLate();
    error SizeAndNonceMissing();
    error TreeSizeMismatch();
    error WrongSlot();

    /// @dev Pointers are into memory.
    struct Proof {
        bytes32 coinbaseId;
        bool hasInputs;
        uint256 script;
        uint256 scriptLength;
        uint256 coinbaseBranch;
        uint256 coinbaseHeight;
        uint256 coinbaseIndex;
        uint256 chainBranch;
        uint256 chainHeight;
        uint256 chainIndex;
        uint256 parent;
    }

    uint256 private constant MAX_CHAIN_BRANCH = 30;
    uint256 private constant MAX_UNMARKED_ROOT_OFFSET = 20;
    uint256 private constant PARENT_BYTES = 80;
    uint256 private constant ABSENT = type(uint256).max;

    /// @notice Everything but the parent's work, for which see {Work}.
    /// @param auxHash of the block that the proof is for: the leaf of the tree of merge-mined chains
    /// @param chainId of that block's chain
    /// @return parentHash sha256d of the parent header
    function verify(bytes calldata proof, bytes32 auxHash, uint256 chainId) internal view returns (bytes32 parentHash) {
        Proof memory read = _read(proof);
        if (read.coinbaseIndex != 0) revert CoinbaseIndexNotZero();
        if (_u32(read.parent) >> 16 == chainId) revert ParentHasOwnChainId();
        if (read.chainHeight > MAX_CHAIN_BRANCH) revert ChainBranchTooLong();
        bytes32 coinbaseRoot = _fold(read.coinbaseId, read.coinbaseBranch, read.coinbaseHeight, 0);
        if (coinbaseRoot != _word(read.parent + 36)) revert CoinbaseNotInParent();
        if (!read.hasInputs) revert CoinbaseHasNoInputs();
        bytes32 root = Work.reversed(_fold(auxHash, read.chainBranch, read.chainHeight, read.chainIndex));
        _checkScript(read, root, chainId);
        return _sha256d(read.parent, PARENT_BYTES);
    }

    /// @notice Where a chain has to be in a tree of 2^height slots.
    function slot(uint256 nonce, uint256 chainId, uint256 height) internal pure returns (uint256) {
        unchecked {
            uint256 random = nonce * 1_103_515_245 + 12_345 + chainId;
            return (random * 1_103_515_245 + 12_345) & ((1 << height) - 1);
        }
    }

    function _checkScript(Proof memory read, bytes32 root, uint256 chainId) private pure {
        (uint256 rootAt, uint256 magicAt, uint256 magics) = _find(read.script, read.scriptLength, root);
        if (rootAt == ABSENT) revert ChainRootMissing();
        if (magics > 1) revert MagicTwice();
        if (magics == 1) {
            if (magicAt + 4 != rootAt) revert MagicNotBeforeRoot();
        } else if (rootAt > MAX_UNMARKED_ROOT_OFFSET) {
            revert ChainRootTooLate();
        }
        uint256 next = rootAt + 32;
        if (read.scriptLength - next < 8) revert SizeAndNonceMissing();
        if (_u32(read.script + next) != 1 << read.chainHeight) revert TreeSizeMismatch();
        if (read.chainIndex != slot(_u32(read.script + next + 4), chainId, read.chainHeight)) revert WrongSlot();
    }

    /// @dev The first places of root and magic, and how often the magic is there.
    function _find(uint256 script, uint256 length, bytes32 root)
        private
        pure
        returns (uint256 rootAt, uint256 magicAt, uint256 magics)
    {
        rootAt = ABSENT;
        assembly ("memory-safe") {
            for { let at := 0 } lt(at, length) { at := add(at, 1) } {
                let word := mload(add(script, at))
                if eq(shr(224, word), 0xfabe6d6d) {
                    if iszero(gt(add(at, 4), length)) {
                        if iszero(magics) { magicAt := at }
                        magics := add(magics, 1)
                    }
                }
                if eq(word, root) {
                    // Not beyond the script, and only the first.
                    if iszero(or(gt(add(at, 32), length), iszero(eq(rootAt, not(0))))) { rootAt := at }
                }
            }
        }
    }

    function _read(bytes calldata proof) private view returns (Proof memory read) {
        bytes memory copied = proof;
        uint256 at;
        assembly ("memory-safe") {
            at := add(copied, 32)
        }
        uint256 end = at + copied.length;
        at = _readCoinbase(read, at, end);
        // Nobody checks the hash of the parent block.
        at = _skip(at, 32, end);
        (read.coinbaseBranch, read.coinbaseHeight, read.coinbaseIndex, at) = _readBranch(at, end);
        (read.chainBranch, read.chainHeight, read.chainIndex, at) = _readBranch(at, end);
        read.parent = at;
        if (_skip(at, PARENT_BYTES, end) != end) revert Malformed();
    }

    function _readBranch(uint256 at, uint256 end)
        private
        pure
        returns (uint256 branch, uint256 height, uint256 index, uint256 next)
    {
        (height, branch) = _compactSize(at, end);
        next = _skip(branch, height * 32, end);
        uint256 indexAt = next;
        next = _skip(next, 4, end);
        index = _u32(indexAt);
    }

    function _readCoinbase(Proof memory read, uint256 start, uint256 end) private view returns (uint256 at) {
        uint256 body = _skip(start, 4, end);
        uint256 inputs;
        (inputs, at) = _compactSize(body, end);
        bool hasWitness = inputs == 0;
        if (hasWitness) {
            // BIP 144: no inputs where their number is expected, then the flag 1, then the number.
            body = _skip(at, 1, end);
            if (_byte(at) != 1) revert Malformed();
            (inputs, at) = _compactSize(body, end);
        }
        read.hasInputs = inputs > 0;
        for (uint256 i = 0; i < inputs; ++i) {
            uint256 length;
            (length, at) = _compactSize(_skip(at, 36, end), end);
            if (i == 0) (read.script, read.scriptLength) = (at, length);
            at = _skip(_skip(at, length, end), 4, end);
        }
        at = _skipOutputs(at, end);
        if (!hasWitness) {
            at = _skip(at, 4, end);
            read.coinbaseId = _sha256d(start, at - start);
            return at;
        }
        uint256 bodyEnd = at;
        at = _skipWitness(at, inputs, end);
        uint256 lockTime = at;
        at = _skip(at, 4, end);
        read.coinbaseId = _idWithoutWitness(start, body, bodyEnd, lockTime);
    }

    function _skipOutputs(uint256 at, uint256 end) private pure returns (uint256) {
        uint256 left;
        (left, at) = _compactSize(at, end);
        for (; left > 0; --left) {
            uint256 length;
            (length, at) = _compactSize(_skip(at, 8, end), end);
            at = _skip(at, length, end);
        }
        return at;
    }

    function _skipWitness(uint256 at, uint256 inputs, uint256 end) private pure returns (uint256) {
        for (; inputs > 0; --inputs) {
            uint256 left;
            (left, at) = _compactSize(at, end);
            for (; left > 0; --left) {
                uint256 length;
                (length, at) = _compactSize(at, end);
                at = _skip(at, length, end);
            }
        }
        return at;
    }

    function _idWithoutWitness(uint256 start, uint256 body, uint256 bodyEnd, uint256 lockTime)
        private
        view
        returns (bytes32)
    {
        uint256 free;
        assembly ("memory-safe") {
            free := mload(0x40)
            mcopy(free, start, 4)
            mcopy(add(free, 4), body, sub(bodyEnd, body))
            mcopy(add(add(free, 4), sub(bodyEnd, body)), lockTime, 4)
        }
        return _sha256d(free, bodyEnd - body + 8);
    }

    /// @dev Bitcoin's CompactSize in its shortest form; eight bytes count more than any proof holds.
    function _compactSize(uint256 at, uint256 end) private pure returns (uint256 value, uint256 next) {
        next = _skip(at, 1, end);
        value = _byte(at);
        if (value < 0xfd) return (value, next);
        if (value == 0xfd) {
            next = _skip(next, 2, end);
            value = _u32(at + 1) & 0xffff;
            if (value < 0xfd) revert Malformed();
        } else if (value == 0xfe) {
            next = _skip(next, 4, end);
            value = _u32(at + 1);
            if (value < 0x1_0000) revert Malformed();
        } else {
            revert Malformed();
        }
    }

    /// @dev `at` is never beyond `end`, and no length has more than 37 bits.
    function _skip(uint256 at, uint256 length, uint256 end) private pure returns (uint256) {
        unchecked {
            if (length > end - at) revert Malformed();
            return at + length;
        }
    }

    function _byte(uint256 at) private pure returns (uint256 value) {
        assembly ("memory-safe") {
            value := shr(248, mload(at))
        }
    }

    function _word(uint256 at) private pure returns (bytes32 value) {
        assembly ("memory-safe") {
            value := mload(at)
        }
    }

    /// @dev Little-endian.
    function _u32(uint256 at) private pure returns (uint256 value) {
        assembly ("memory-safe") {
            let word := shr(224, mload(at))
            value := or(
                or(shl(24, and(word, 0xff)), shl(8, and(word, 0xff00))),
                or(and(shr(8, word), 0xff00), shr(24, word))
            )
        }
    }

    function _fold(bytes32 leaf, uint256 branch, uint256 height, uint256 index) private view returns (bytes32 folded) {
        bool ok = true;
        assembly ("memory-safe") {
            folded := leaf
            for { let i := 0 } lt(i, height) { i := add(i, 1) } {
                let isRight := shl(5, and(shr(i, index), 1))
                mstore(isRight, folded)
                mstore(xor(isRight, 0x20), mload(add(branch, shl(5, i))))
                ok := and(ok, staticcall(gas(), 2, 0, 0x40, 0, 0x20))
                ok := and(ok, staticcall(gas(), 2, 0, 0x20, 0, 0x20))
                folded := mload(0)
            }
        }
        assert(ok);
    }

    function _sha256d(uint256 at, uint256 length) private view returns (bytes32 hash) {
        bool ok;
        assembly ("memory-safe") {
            ok := staticcall(gas(), 2, at, length, 0, 0x20)
            ok := and(ok, staticcall(gas(), 2, 0, 0x20, 0, 0x20))
            hash := mload(0)
        }
        assert(ok);
    }
}
