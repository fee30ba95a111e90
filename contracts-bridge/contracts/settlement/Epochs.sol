// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {ISettlement, RewardLeaf, ServerAccount, VendorAccount} from "../interfaces/ISettlement.sol";
import {EpochRoot, Payout, Vouchers} from "../types/Vouchers.sol";
import {Signers} from "./Signers.sol";

/// @notice The cheap way: one signed root per vendor and epoch, claims with Merkle proofs.
abstract contract Epochs is Signers {
    using SafeCast for uint256;
    using Vouchers for EpochRoot;
    using Vouchers for Payout;

    mapping(address server => address payout) private _payouts;
    mapping(address server => uint64 nonce) private _payoutNonces;

    /// @inheritdoc ISettlement
    function postEpochRoot(EpochRoot calldata epochRoot, bytes calldata signature, uint256 leavesIoex) external {
        address vendor = epochRoot.vendor;
        VendorAccount storage account = _vendors[vendor];
        if (epochRoot.epoch <= account.epoch) revert EpochNotRising(account.epoch, epochRoot.epoch);
        uint256 total = epochRoot.totalCumulativeGas18;
        if (total < account.burnedGas18) revert TotalFalls(account.burnedGas18, total);
        address signer = ECDSA.recover(digestOfEpochRoot(epochRoot), signature);
        _requireAuthority(vendor, signer, block.timestamp);

        uint256 gas18 = total - account.burnedGas18;
        if (gas18 > _freeGas(account)) revert InsufficientEscrow(vendor, _freeGas(account), gas18);
        _charge(vendor, signer, gas18);
        account.epoch = epochRoot.epoch;
        account.root = epochRoot.root;
        (uint256 burnedIoex, uint256 rewardIoex) = _burn(vendor, gas18);
        uint256 reward = rewardOf(vendor);
        if (leavesIoex > reward) revert RewardBelowLeaves(reward, leavesIoex);
        emit EpochPosted(vendor, epochRoot.epoch, epochRoot.root, total, gas18, burnedIoex, rewardIoex);
    }

    /// @inheritdoc ISettlement
    function claim(address vendor, RewardLeaf calldata leaf, bytes32[] calldata proof)
        external
        returns (uint256 ioex)
    {
        return _claim(vendor, leaf, proof);
    }

    /// @inheritdoc ISettlement
    function claimMany(address vendor, RewardLeaf[] calldata leaves, bytes32[][] calldata proofs) external {
        if (leaves.length != proofs.length) revert LengthsDiffer();
        for (uint256 i = 0; i < leaves.length; ++i) {
            _claim(vendor, leaves[i], proofs[i]);
        }
    }

    /// @inheritdoc ISettlement
    function setPayout(address payout) external {
        _setPayout(msg.sender, payout);
    }

    /// @inheritdoc ISettlement
    function setPayoutBySignature(address server, address payout, bytes calldata signature) external {
        uint64 nonce = _payoutNonces[server]++;
        bytes32 digest = _hashTypedDataV4(Payout(server, payout, nonce).hash());
        if (ECDSA.recover(digest, signature) != server) revert PayoutNotSigned(server);
        _setPayout(server, payout);
    }

    /// @inheritdoc ISettlement
    function payoutOf(address server) public view returns (address) {
        address payout = _payouts[server];
        return payout == address(0) ? server : payout;
    }

    /// @inheritdoc ISettlement
    function payoutNonceOf(address server) external view returns (uint64) {
        return _payoutNonces[server];
    }

    /// @inheritdoc ISettlement
    function digestOfEpochRoot(EpochRoot calldata epochRoot) public view returns (bytes32) {
        return _hashTypedDataV4(epochRoot.hash());
    }

    function _claim(address vendor, RewardLeaf calldata leaf, bytes32[] calldata proof) private returns (uint256 ioex) {
        VendorAccount storage account = _vendors[vendor];
        bytes32 node =
            keccak256(bytes.concat(keccak256(abi.encode(leaf.server, leaf.cumulativeIoex, leaf.cumulativeGas18))));
        if (!MerkleProof.verifyCalldata(proof, account.root, node)) revert LeafNotInRoot(vendor, leaf.server);
        ServerAccount storage mine = _servers[vendor][leaf.server];
        // Leaves that promise more than was burned are paid as far as it reaches; the rest stays owed.
        ioex = Math.min(
            Math.saturatingSub(leaf.cumulativeIoex, mine.paidIoex), rewardOf(vendor) - account.paidIoex
        );
        if (ioex == 0) return 0;
        mine.paidIoex += ioex.toUint128();
        account.paidIoex += ioex.toUint128();
        mine.creditedGas18 += _creditFor(account, mine, leaf.cumulativeGas18, ioex).toUint128();
        _syncReservation(vendor, leaf.server);
        address payout = payoutOf(leaf.server);
        emit RewardPaid(vendor, leaf.server, payout, ioex, mine.creditedGas18);
        POOL.pay(payout, ioex);
    }

    /// @dev How much service a payment settles. The leaf says it, but the vendor's word alone must not end a
    /// server's right to claim with receipts: what counts is at most what the payment buys at the poorest rate that
    /// the vendor's escrow ever had.
    function _creditFor(VendorAccount storage account, ServerAccount storage mine, uint256 leafGas18, uint256 ioex)
        private
        view
        returns (uint256)
    {
        uint256 bought = Math.mulDiv(
            (ioex + ROUNDING_UNITS) * BPS, account.poorestGas18, uint256(account.poorestIoex) * _terms.rewardBps
        );
        return Math.min(Math.saturatingSub(leafGas18, mine.creditedGas18), bought);
    }

    function _setPayout(address server, address payout) private {
        _payouts[server] = payout;
        emit PayoutSet(server, payout);
    }
}
