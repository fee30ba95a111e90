// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {
    ISettlement,
    ReceiptEvidence,
    ServerAccount,
    VendorAccount
} from "../interfaces/ISettlement.sol";
import {Grant, Receipt, Vouchers} from "../types/Vouchers.sol";
import {Epochs} from "./Epochs.sol";
import {Prices} from "./Prices.sol";

/// @notice The way of last resort: a server that no epoch pays shows grants and receipts.
/// @dev It never pays twice, because both ways move one counter, `creditedGas18`, and the owed part is what was
/// proven above it. The claim is paid after a delay; whoever holds an epoch's leaf for the server can push it in that
/// time, which raises the counter. What a claim burns counts into the vendor's total, so that later epochs burn only
/// what is above. Over all servers a grant is honoured up to its `maxBytes`, in the order in which it is shown.
abstract contract ReceiptClaims is Epochs, Prices {
    using SafeCast for uint256;
    using Vouchers for Grant;
    using Vouchers for Receipt;

    mapping(bytes32 grantId => mapping(address server => uint64 shownBytes)) private _shownBytes;
    mapping(bytes32 grantId => uint64 shownBytes) private _shownInAll;

    /// @inheritdoc ISettlement
    function claimWithReceipts(address server, ReceiptEvidence[] calldata evidence) external {
        if (msg.sender != server && msg.sender != payoutOf(server)) revert NotTheServer(msg.sender, server);
        address vendor = evidence[0].grant.vendor;
        ServerAccount storage mine = _servers[vendor][server];
        uint256 addedGas18 = 0;
        for (uint256 i = 0; i < evidence.length; ++i) {
            if (evidence[i].grant.vendor != vendor) revert VendorsDiffer(vendor, evidence[i].grant.vendor);
            addedGas18 += _show(mine, server, evidence[i]);
        }
        mine.provenGas18 += addedGas18.toUint128();
        uint256 owed = _owedGas(mine);
        if (owed < _terms.receiptClaimMinGas18 || owed == 0) {
            revert ClaimTooSmall(owed, _terms.receiptClaimMinGas18);
        }
        mine.claimableAt = (block.timestamp + _terms.receiptClaimDelayS).toUint64();
        _syncReservation(vendor, server);
        emit ReceiptClaimOpened(vendor, server, owed, mine.claimableAt);
    }

    /// @inheritdoc ISettlement
    function finishReceiptClaim(address vendor, address server) external returns (uint256 ioex) {
        ServerAccount storage mine = _servers[vendor][server];
        VendorAccount storage account = _vendors[vendor];
        if (mine.claimableAt == 0 || block.timestamp < mine.claimableAt) revert ClaimNotReady(mine.claimableAt);
        uint256 owed = _owedGas(mine);
        uint256 burnedIoex = 0;
        uint256 gas18 = 0;
        if (owed > 0) {
            uint256 reachable = _freeGas(account) + mine.reservedGas18;
            if (reachable == 0) revert InsufficientEscrow(vendor, 0, owed);
            uint256 capLeft = _capLeft(vendor, mine.signer);
            if (capLeft == 0) revert DailyCapReached(mine.signer, 0, owed);
            gas18 = Math.min(owed, Math.min(reachable, capLeft));
            _charge(vendor, mine.signer, gas18);
            // Frees this claim's own reservation before the burn, which leaves no less than all others hold.
            account.reservedGas18 -= mine.reservedGas18;
            mine.reservedGas18 = 0;
            (burnedIoex, ioex) = _burn(vendor, gas18);
            mine.creditedGas18 += gas18.toUint128();
            mine.paidIoex += ioex.toUint128();
            account.paidIoex += ioex.toUint128();
        }
        if (gas18 == owed) mine.claimableAt = 0;
        _syncReservation(vendor, server);
        emit ReceiptClaimPaid(vendor, server, gas18, burnedIoex, ioex, owed - gas18);
        if (ioex > 0) POOL.pay(payoutOf(server), ioex);
    }

    /// @inheritdoc ISettlement
    function grantBytesOf(bytes32 grantId, address server)
        external
        view
        returns (uint64 serverBytes, uint64 allBytes)
    {
        return (_shownBytes[grantId][server], _shownInAll[grantId]);
    }

    /// @dev Checks one grant with its receipt and returns the GAS that it adds to what was shown before.
    function _show(ServerAccount storage mine, address server, ReceiptEvidence calldata evidence)
        private
        returns (uint256 addedGas18)
    {
        Grant calldata grant = evidence.grant;
        Receipt calldata receipt = evidence.receipt;
        bytes32 grantId = grant.hash();
        bool fits = receipt.grantId == grantId && receipt.server == server
            && receipt.serverBytes <= receipt.grantBytes && receipt.grantBytes <= grant.maxBytes;
        if (!fits) revert ReceiptInvalid(grantId);
        mine.signer = _requireGrantSigner(grant, grantId, evidence.grantSignature);
        bytes32 receiptDigest = _hashTypedDataV4(receipt.hash());
        if (ECDSA.recover(receiptDigest, evidence.receiptSignature) != grant.device) {
            revert ReceiptNotSigned(grantId, grant.device);
        }

        uint64 before = _shownBytes[grantId][server];
        uint64 others = _shownInAll[grantId] - before;
        uint64 honoured = Math.min(receipt.serverBytes, grant.maxBytes - others).toUint64();
        if (honoured <= before) return 0;
        _shownBytes[grantId][server] = honoured;
        _shownInAll[grantId] = others + honoured;
        // Rounded down once per grant, over all its servers, as the tally of node/receipts does it.
        return _amount(grant.service, grant.priceVersion, others + honoured)
            - _amount(grant.service, grant.priceVersion, others + before);
    }

    /// @dev The signer must have had authority while the grant was valid, and have it still or have lost it not long
    /// ago: otherwise a stolen key could date grants back for ever.
    function _requireGrantSigner(Grant calldata grant, bytes32 grantId, bytes calldata signature)
        private
        view
        returns (address signer)
    {
        signer = ECDSA.recover(_hashTypedDataV4(grantId), signature);
        _requireAuthorityWithin(grant.vendor, signer, grant.notBefore, grant.notAfter);
        uint256 end = uint256(_signers[grant.vendor][signer].validUntil) + _terms.receiptClaimGraceS;
        if (block.timestamp < grant.notBefore || block.timestamp >= end) {
            revert SignerNotAuthorised(grant.vendor, signer, block.timestamp);
        }
    }
}
