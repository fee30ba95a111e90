// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Work and targets as Bitcoin has them
library Work {
    /// @notice The hash is above the target, or the target is negative, zero or beyond 256 bits.
    error WorkBelowTarget();

    /// @notice Refuses a hash whose number is above the target of `bits`.
    /// @param hash in the order in which sha256 gives it; its number is little-endian
    function check(bytes32 hash, uint256 bits) internal pure {
        if (uint256(reversed(hash)) > targetOf(bits) || targetOf(bits) == 0) revert WorkBelowTarget();
    }

    /// @notice The target of the compact form; 0 if it is negative or beyond 256 bits.
    function targetOf(uint256 bits) internal pure returns (uint256) {
        uint256 exponent = bits >> 24;
        uint256 mantissa = bits & 0x7fffff;
        if (bits & 0x800000 != 0 || mantissa == 0) return 0;
        if (exponent <= 3) return mantissa >> (8 * (3 - exponent));
        uint256 shift = 8 * (exponent - 3);
        if (shift >= 256 || (mantissa << shift) >> shift != mantissa) return 0;
        return mantissa << shift;
    }

    /// @notice The compact form of a target, rounded down to its three highest bytes.
    function bitsOf(uint256 target) internal pure returns (uint32) {
        uint256 exponent = 0;
        while (exponent < 32 && target >> (8 * exponent) != 0) ++exponent;
        uint256 mantissa = exponent <= 3 ? target << (8 * (3 - exponent)) : target >> (8 * (exponent - 3));
        // The highest bit of the mantissa is its sign.
        if (mantissa & 0x800000 != 0) {
            mantissa >>= 8;
            ++exponent;
        }
        return uint32((exponent << 24) | mantissa);
    }

    /// @notice The next target after a period, by at most a factor of `maxFactor` either way and at most `limit`.
    function retargeted(uint256 target, uint256 tookS, uint256 wantedS, uint256 maxFactor, uint256 limit)
        internal
        pure
        returns (uint256)
    {
        if (tookS < wantedS / maxFactor) tookS = wantedS / maxFactor;
        if (tookS > wantedS * maxFactor) tookS = wantedS * maxFactor;
        // The easiest targets of test networks come close to 2^256.
        if (target / wantedS >= limit / tookS) return limit;
        uint256 next =
            target > type(uint256).max / tookS ? (target / wantedS) * tookS : (target * tookS) / wantedS;
        return next > limit ? limit : next;
    }

    /// @notice The 32 bytes in the other order.
    function reversed(bytes32 value) internal pure returns (bytes32) {
        uint256 v = uint256(value);
        v = ((v >> 8) & 0x00FF00FF00FF00FF00FF00FF00FF00FF00FF00FF00FF00FF00FF00FF00FF00FF)
            | ((v & 0x00FF00FF00FF00FF00FF00FF00FF00FF00FF00FF00FF00FF00FF00FF00FF00FF) << 8);
        v = ((v >> 16) & 0x0000FFFF0000FFFF0000FFFF0000FFFF0000FFFF0000FFFF0000FFFF0000FFFF)
            | ((v & 0x0000FFFF0000FFFF0000FFFF0000FFFF0000FFFF0000FFFF0000FFFF0000FFFF) << 16);
        v = ((v >> 32) & 0x00000000FFFFFFFF00000000FFFFFFFF00000000FFFFFFFF00000000FFFFFFFF)
            | ((v & 0x00000000FFFFFFFF00000000FFFFFFFF00000000FFFFFFFF00000000FFFFFFFF) << 32);
        v = ((v >> 64) & 0x0000000000000000FFFFFFFFFFFFFFFF0000000000000000FFFFFFFFFFFFFFFF)
            | ((v & 0x0000000000000000FFFFFFFFFFFFFFFF0000000000000000FFFFFFFFFFFFFFFF) << 64);
        return bytes32((v >> 128) | (v << 128));
    }
}
