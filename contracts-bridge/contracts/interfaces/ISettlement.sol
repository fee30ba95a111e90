// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {EpochRoot, Grant, PinOrder, Receipt} from "../types/Vouchers.sol";

/// @notice What one vendor has deposited, spent and caused, all in one place.
struct VendorAccount {
    /// GAS in escrow and the ioeX behind it.
    uint128 escrowGas18;
    uint128 escrowIoex;
    /// Part of the escrow that waits for pending receipt claims: no withdrawal and no epoch touches it.
    uint128 reservedGas18;
    /// Part that the vendor asked to withdraw; spendable until it is taken out.
    uint128 thawingGas18;
    /// Everything that was ever burned for the vendor, by epochs and by receipt claims.
    uint128 burnedGas18;
    uint128 burnedIoex;
    /// Rewards paid out of the vendor's burned ioeX, at most `k` times `burnedIoex`.
    uint128 paidIoex;
    /// Unix seconds from which the thawing part can be withdrawn.
    uint64 thawedAt;
    /// The last epoch that was posted.
    uint64 epoch;
    /// Merkle root of what each server has earned, cumulative.
    bytes32 root;
    /// The poorest backing the escrow ever had after a deposit, as a fraction ioeX / GAS.
    uint128 poorestIoex;
    uint128 poorestGas18;
}

/// @notice What one server has got from one vendor, and what it has proven by itself.
struct ServerAccount {
    /// GAS worth of service that has been paid for, by either way.
    uint128 creditedGas18;
    uint128 paidIoex;
    /// GAS worth of service shown on chain by grants and receipts.
    uint128 provenGas18;
    /// Part of the vendor's escrow that waits for this server's claim.
    uint128 reservedGas18;
    /// Whose grants the pending claim rests on; its daily cap applies.
    address signer;
    /// Unix seconds from which the pending claim can be finished; 0 when there is none.
    uint64 claimableAt;
}

/// @notice What a vendor's voucher signer may do.
struct SignerAccount {
    uint128 dailyCapGas18;
    /// GAS burned on the day `day` (days since 1970) on this signer's word.
    uint128 spentGas18;
    uint64 validFrom;
    /// Unix seconds; the expiry, or sooner after a revocation has thawed.
    uint64 validUntil;
    uint64 day;
}

/// @notice amount = floor(bytes x priceGas18 / unitBytes).
struct Price {
    uint128 priceGas18;
    uint64 unitBytes;
}

/// @notice One server's cumulative reward as the vendor's root has it.
struct RewardLeaf {
    address server;
    uint256 cumulativeIoex;
    uint256 cumulativeGas18;
}

/// @notice A grant and its highest receipt for one server, with both signatures.
struct ReceiptEvidence {
    Grant grant;
    bytes grantSignature;
    Receipt receipt;
    bytes receiptSignature;
}

/// @notice Fixed at deployment.
struct SettlementTerms {
    /// Share of the burned ioeX that servers earn, at most 9,500.
    uint16 rewardBps;
    /// Between asking for a withdrawal and taking it; longer than `receiptClaimDelayS`.
    uint32 withdrawThawS;
    /// Between revoking a signer and its end, so that servers can still settle what they served in good faith.
    uint32 signerThawS;
    /// Time in which the vendor can settle a receipt claim the cheap way, by an epoch.
    uint32 receiptClaimDelayS;
    /// How long after a signer's end its grants can still be claimed.
    uint32 receiptClaimGraceS;
    /// Below it a receipt claim is not worth the chain's work.
    uint128 receiptClaimMinGas18;
}

/// @title Settlement between vendors and servers
/// @notice One vendor-signed root per epoch settles any number of servers; a server that is left out settles by
/// itself with grants and receipts. All amounts are cumulative, so a repeat is worth nothing. This contract is the
/// EIP-712 domain (`ioeX`, version `1`) of everything that is signed in ioeX.
interface ISettlement {
    /// @notice The terms contradict each other or exceed their bounds.
    error TermsInvalid();
    /// @notice A vendor deposits at least this much backing, so that rounding cannot distort its rate.
    error DepositTooSmall(uint256 ioex, uint256 minimum);
    /// @notice The escrow, less what is reserved for receipt claims, does not cover this.
    error InsufficientEscrow(address vendor, uint256 availableGas18, uint256 wantedGas18);
    /// @notice Nothing is thawing, or it has not thawed yet.
    error NotThawed(uint256 thawedAt);
    /// @notice The voucher signer has no authority of the vendor at that time.
    error SignerNotAuthorised(address vendor, address signer, uint256 time);
    /// @notice Today's cap of the signer is used up to `leftGas18`.
    error DailyCapReached(address signer, uint256 leftGas18, uint256 wantedGas18);
    /// @notice A price version is fixed once and for all.
    error PriceTaken(bytes32 service, uint32 version);
    /// @notice There is no such price version for the service, or the price to register has no unit.
    error PriceUnknown(bytes32 service, uint32 version);
    /// @notice The epoch is not above the last one: it was posted before, or something newer was.
    error EpochNotRising(uint256 lastEpoch, uint256 epoch);
    /// @notice The total is below what was burned already, by epochs and by receipt claims.
    error TotalFalls(uint256 burnedGas18, uint256 totalCumulativeGas18);
    /// @notice The rewards that the caller's leaves sum to exceed `k` times the burned ioeX: the rate has moved.
    error RewardBelowLeaves(uint256 rewardIoex, uint256 leavesIoex);
    /// @notice The leaf is not in the vendor's root.
    error LeafNotInRoot(address vendor, address server);
    /// @notice As many proofs as leaves, please.
    error LengthsDiffer();
    /// @notice The signature is not the server's, or its nonce is not the next.
    error PayoutNotSigned(address server);
    /// @notice Only the server itself, or its payout address, can claim with receipts.
    error NotTheServer(address caller, address server);
    /// @notice The evidence is of another vendor than the rest.
    error VendorsDiffer(address expected, address found);
    /// @notice The receipt is for another grant or another server, or exceeds its own total or the grant.
    error ReceiptInvalid(bytes32 grantId);
    /// @notice The receipt was not signed by the grant's device.
    error ReceiptNotSigned(bytes32 grantId, address device);
    /// @notice What is left to pay is below the stated minimum.
    error ClaimTooSmall(uint256 owedGas18, uint256 minimumGas18);
    /// @notice There is no pending claim, or its delay is not over.
    error ClaimNotReady(uint256 claimableAt);

    /// @notice GAS came into a vendor's escrow.
    event Deposited(address indexed vendor, uint256 gas18, uint256 ioex);
    /// @notice A vendor asked to take GAS out. 0 takes the request back.
    event WithdrawalRequested(address indexed vendor, uint256 gas18, uint256 thawedAt);
    /// @notice GAS went back to the vendor's own account.
    event Withdrawn(address indexed vendor, uint256 gas18, uint256 ioex);
    /// @notice A vendor gave a signer its authority.
    event SignerAuthorised(address indexed vendor, address indexed signer, uint256 dailyCapGas18, uint256 validUntil);
    /// @notice A vendor takes the authority back at `validUntil`.
    event SignerRevoked(address indexed vendor, address indexed signer, uint256 validUntil);
    /// @notice A price version was fixed.
    event PriceRegistered(bytes32 indexed service, uint32 indexed version, uint256 priceGas18, uint256 unitBytes);
    /// @notice An epoch was settled: this much was burned by it, and this much may be earned of it.
    event EpochPosted(
        address indexed vendor,
        uint64 indexed epoch,
        bytes32 root,
        uint256 totalCumulativeGas18,
        uint256 gas18,
        uint256 burnedIoex,
        uint256 rewardIoex
    );
    /// @notice A server was paid its reward in new coins.
    event RewardPaid(
        address indexed vendor, address indexed server, address payout, uint256 ioex, uint256 creditedGas18
    );
    /// @notice A server's rewards go to another address from now on.
    event PayoutSet(address indexed server, address payout);
    /// @notice A server that was left out has shown its receipts; the vendor can settle until `claimableAt`.
    event ReceiptClaimOpened(
        address indexed vendor, address indexed server, uint256 owedGas18, uint256 claimableAt
    );
    /// @notice A receipt claim burned this much and paid this much; `leftGas18` of it is still pending.
    event ReceiptClaimPaid(
        address indexed vendor,
        address indexed server,
        uint256 gas18,
        uint256 burnedIoex,
        uint256 rewardIoex,
        uint256 leftGas18
    );

    /// @notice Moves GAS of the caller, a vendor, into its escrow.
    function deposit(uint256 gas18) external;

    /// @notice Asks to take GAS out of the escrow after the thaw; replaces the request before; 0 takes it back.
    function requestWithdrawal(uint256 gas18) external;

    /// @notice Takes out what has thawed, or what is left of it and not reserved.
    function withdraw() external returns (uint256 gas18);

    /// @notice Gives a signer the caller's authority to sign grants and epochs, up to a cap of GAS per UTC day.
    /// A second call changes cap and expiry and takes a revocation back.
    function authoriseSigner(address signer, uint128 dailyCapGas18, uint64 validUntil) external;

    /// @notice Takes the authority back after the thaw.
    function revokeSigner(address signer) external;

    /// @notice Fixes a price version of a service; only for the holder of PRICE_ROLE.
    function registerPrice(bytes32 service, uint32 version, uint128 priceGas18, uint64 unitBytes) external;

    /// @notice Settles an epoch: burns what the vendor's total has risen by, with the ioeX behind it. Anyone may post.
    /// @param signature of a signer that the vendor authorised, over the EIP-712 digest
    /// @param leavesIoex what all leaves of the root sum to; the post reverts rather than leave a leaf uncovered
    function postEpochRoot(EpochRoot calldata epochRoot, bytes calldata signature, uint256 leavesIoex) external;

    /// @notice Pays a server what its leaf has above what it got before. Anyone may call; pays 0 when there is nothing.
    function claim(address vendor, RewardLeaf calldata leaf, bytes32[] calldata proof)
        external
        returns (uint256 ioex);

    /// @notice The same for many servers of one vendor.
    function claimMany(address vendor, RewardLeaf[] calldata leaves, bytes32[][] calldata proofs) external;

    /// @notice Sends the caller's later rewards to another address, a cold one as a rule.
    function setPayout(address payout) external;

    /// @notice The same on the server's signature, so that a hot server key needs no coins.
    function setPayoutBySignature(address server, address payout, bytes calldata signature) external;

    /// @notice Opens a claim of a server that was left out, with all its grants and receipts of one vendor (those
    /// shown in earlier calls count). Calling again adds evidence and starts the delay anew.
    function claimWithReceipts(address server, ReceiptEvidence[] calldata evidence) external;

    /// @notice Pays a pending claim after its delay, as far as escrow and the signer's daily cap reach: burns the
    /// GAS that is still owed and mints `k` times the ioeX behind it. Anyone may call.
    function finishReceiptClaim(address vendor, address server) external returns (uint256 ioex);

    function vendorOf(address vendor) external view returns (VendorAccount memory);

    function serverOf(address vendor, address server) external view returns (ServerAccount memory);

    function signerOf(address vendor, address signer) external view returns (SignerAccount memory);

    function priceOf(bytes32 service, uint32 version) external view returns (Price memory);

    /// @notice Where the server's rewards go: the server itself until it names another.
    function payoutOf(address server) external view returns (address);

    /// @notice The next nonce of `setPayoutBySignature`.
    function payoutNonceOf(address server) external view returns (uint64);

    /// @notice Bytes of a grant that receipt claims have shown for one server, and for all.
    function grantBytesOf(bytes32 grantId, address server) external view returns (uint64 serverBytes, uint64 allBytes);

    /// @notice Rewards that the vendor's burned ioeX allows in total, paid or not.
    function rewardOf(address vendor) external view returns (uint256 ioex);

    function terms() external view returns (SettlementTerms memory);

    /// @notice The EIP-712 digests that signers sign.
    function digestOfGrant(Grant calldata grant) external view returns (bytes32);

    function digestOfReceipt(Receipt calldata receipt) external view returns (bytes32);

    function digestOfPinOrder(PinOrder calldata order) external view returns (bytes32);

    function digestOfEpochRoot(EpochRoot calldata epochRoot) external view returns (bytes32);
}
