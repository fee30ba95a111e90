// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @notice Lets one device fetch the blocks of one release from any server, up to `maxBytes`. Signed by a signer
/// that the vendor authorised.
struct Grant {
    address vendor;
    address device;
    bytes32 root;
    bytes32 deltaRoot;
    uint64 maxBytes;
    bytes32 service;
    uint32 priceVersion;
    uint64 notBefore;
    uint64 notAfter;
    uint64 serial;
}

/// @notice How many verified bytes one server delivered under a grant, and all servers together. Signed by the
/// grant's device; both numbers only rise.
struct Receipt {
    bytes32 grantId;
    address server;
    uint64 serverBytes;
    uint64 grantBytes;
}

/// @notice What a seed shall keep. Never comes on chain; hashed here so that both languages agree on it.
struct PinOrder {
    address payer;
    bytes32[] roots;
    uint64 bytes_;
    uint64 from;
    uint64 until;
    uint32 copies;
    bytes32 service;
    uint32 priceVersion;
    address[] signers;
}

/// @notice All that a vendor owes up to an epoch, and the Merkle root of what each server earned by it.
struct EpochRoot {
    address vendor;
    uint64 epoch;
    uint256 totalCumulativeGas18;
    bytes32 root;
}

/// @notice Where the rewards of a server go. Signed by the server's key, which need hold no coins.
struct Payout {
    address server;
    address payout;
    uint64 nonce;
}

/// @title EIP-712 struct hashes of everything that is signed in ioeX
library Vouchers {
    bytes32 internal constant GRANT_TYPEHASH = keccak256(
        "Grant(address vendor,address device,bytes32 root,bytes32 deltaRoot,uint64 maxBytes,bytes32 service,uint32 priceVersion,uint64 notBefore,uint64 notAfter,uint64 serial)"
    );
    bytes32 internal constant RECEIPT_TYPEHASH =
        keccak256("Receipt(bytes32 grantId,address server,uint64 serverBytes,uint64 grantBytes)");
    bytes32 internal constant PIN_ORDER_TYPEHASH = keccak256(
        "PinOrder(address payer,bytes32[] roots,uint64 bytes,uint64 from,uint64 until,uint32 copies,bytes32 service,uint32 priceVersion,address[] signers)"
    );
    bytes32 internal constant EPOCH_ROOT_TYPEHASH =
        keccak256("EpochRoot(address vendor,uint64 epoch,uint256 totalCumulativeGas18,bytes32 root)");
    bytes32 internal constant PAYOUT_TYPEHASH = keccak256("Payout(address server,address payout,uint64 nonce)");

    function hash(Grant memory grant) internal pure returns (bytes32) {
        return keccak256(abi.encode(GRANT_TYPEHASH, grant));
    }

    function hash(Receipt memory receipt) internal pure returns (bytes32) {
        return keccak256(abi.encode(RECEIPT_TYPEHASH, receipt));
    }

    function hash(EpochRoot memory epochRoot) internal pure returns (bytes32) {
        return keccak256(abi.encode(EPOCH_ROOT_TYPEHASH, epochRoot));
    }

    function hash(Payout memory payout) internal pure returns (bytes32) {
        return keccak256(abi.encode(PAYOUT_TYPEHASH, payout));
    }

    /// @dev In two halves, which abi.encode lays out one after the other, to stay within the stack.
    function hash(PinOrder memory order) internal pure returns (bytes32) {
        bytes memory head = abi.encode(
            PIN_ORDER_TYPEHASH, order.payer, keccak256(abi.encodePacked(order.roots)), order.bytes_, order.from
        );
        bytes memory tail = abi.encode(
            order.until,
            order.copies,
            order.service,
            order.priceVersion,
            keccak256(abi.encodePacked(order.signers))
        );
        return keccak256(bytes.concat(head, tail));
    }
}
