// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {EmissionSchedule} from "../contracts/EmissionSchedule.sol";
import {GasCredit} from "../contracts/GasCredit.sol";
import {IoexToken} from "../contracts/IoexToken.sol";
import {RewardPool} from "../contracts/RewardPool.sol";
import {Settlement} from "../contracts/Settlement.sol";
import {ReceiptEvidence, RewardLeaf, SettlementTerms} from "../contracts/interfaces/ISettlement.sol";
import {EpochRoot, Grant, Receipt, Vouchers} from "../contracts/types/Vouchers.sol";
import {MerkleTree} from "./MerkleTree.sol";
import {Vm} from "./Vm.sol";

/// @notice All contracts deployed and wired as deploy/deploy-all.ts does it, with keys for everybody.
abstract contract World {
    using MerkleTree for RewardLeaf[];
    using Vouchers for Grant;

    Vm internal constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

    uint256 internal constant GAS = 1e18;
    uint256 internal constant IOEX = 1e8;
    uint256 internal constant PRICE = 10 * GAS;
    uint256 internal constant START = 1_800_000_000;
    bytes32 internal constant SERVICE = keccak256("ioex/bandwidth");

    uint256 internal constant VENDOR_KEY = 0xA11CE;
    uint256 internal constant SIGNER_KEY = 0x51617E;
    uint256 internal constant DEVICE_KEY = 0xDE71CE;
    uint256 internal constant SERVER_KEY = 0x5E47E4;

    address internal treasury = address(0x7EA5);
    address internal vendor = vm.addr(VENDOR_KEY);
    address internal signer = vm.addr(SIGNER_KEY);
    address internal device = vm.addr(DEVICE_KEY);
    address internal server = vm.addr(SERVER_KEY);
    address internal other = address(0x07E4);

    IoexToken internal token;
    GasCredit internal gas;
    RewardPool internal pool;
    Settlement internal settlement;

    function setUp() public virtual {
        vm.warp(START);
        token = new IoexToken(treasury, address(this));
        gas = new GasCredit(token, address(this), PRICE, GAS / 100, 10_000 * GAS);
        pool = new RewardPool(token, address(this), EmissionSchedule.Terms(20e8, 120, 300));
        settlement = new Settlement(gas, pool, address(this), _terms());
        token.grantRole(token.MINTER_ROLE(), address(pool));
        pool.grantRole(pool.SETTLEMENT_ROLE(), address(settlement));
        gas.grantRole(gas.SETTLEMENT_ROLE(), address(settlement));
        gas.grantRole(gas.PRICE_ROLE(), address(this));
        settlement.grantRole(settlement.PRICE_ROLE(), address(this));
        settlement.registerPrice(SERVICE, 1, uint128(GAS / 100), 1 << 30);
    }

    function _terms() internal pure virtual returns (SettlementTerms memory) {
        return SettlementTerms({
            rewardBps: 9_500,
            withdrawThawS: 14 days,
            signerThawS: 7 days,
            receiptClaimDelayS: 1 days,
            receiptClaimGraceS: 7 days,
            receiptClaimMinGas18: uint128(GAS / 100)
        });
    }

    /// @dev Coins from the treasury, converted and deposited; the signer gets authority without a cap.
    function _fund(address account, uint256 ioex) internal returns (uint256 gas18) {
        gas18 = _convert(account, ioex);
        vm.prank(account);
        settlement.deposit(gas18);
        vm.prank(account);
        settlement.authoriseSigner(signer, type(uint128).max, type(uint64).max);
    }

    function _convert(address account, uint256 ioex) internal returns (uint256 gas18) {
        vm.prank(treasury);
        token.transfer(account, ioex);
        vm.prank(account);
        token.approve(address(gas), ioex);
        vm.prank(account);
        return gas.convert(ioex, 0);
    }

    /// @dev Enough time for the emission ceiling to allow `ioex` base units.
    function _accrue(uint256 ioex) internal {
        uint256 start = pool.STARTED_AT();
        uint256 needed = ((pool.reserved() + ioex) * 120) / 20e8 + 120;
        if (block.timestamp < start + needed) vm.warp(start + needed);
    }

    function _sign(uint256 key, bytes32 digest) internal pure returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, digest);
        return abi.encodePacked(r, s, v);
    }

    function _one(address to, uint256 ioex, uint256 gas18) internal pure returns (RewardLeaf[] memory leaves) {
        leaves = new RewardLeaf[](1);
        leaves[0] = RewardLeaf(to, ioex, gas18);
    }

    function _post(uint64 epoch, uint256 total, RewardLeaf[] memory leaves) internal {
        EpochRoot memory epochRoot = EpochRoot(vendor, epoch, total, leaves.root());
        settlement.postEpochRoot(epochRoot, _sign(SIGNER_KEY, settlement.digestOfEpochRoot(epochRoot)), 0);
    }

    function _claim(RewardLeaf[] memory leaves, uint256 index) internal returns (uint256) {
        return settlement.claim(vendor, leaves[index], leaves.proof(index));
    }

    function _grant(uint64 serial, uint64 maxBytes) internal view returns (Grant memory) {
        return Grant({
            vendor: vendor,
            device: device,
            root: keccak256("root"),
            deltaRoot: bytes32(0),
            maxBytes: maxBytes,
            service: SERVICE,
            priceVersion: 1,
            notBefore: uint64(block.timestamp),
            notAfter: uint64(block.timestamp + 1 days),
            serial: serial
        });
    }

    function _evidence(Grant memory grant, address to, uint64 serverBytes, uint64 grantBytes)
        internal
        view
        returns (ReceiptEvidence memory)
    {
        Receipt memory receipt = Receipt(grant.hash(), to, serverBytes, grantBytes);
        return ReceiptEvidence({
            grant: grant,
            grantSignature: _sign(SIGNER_KEY, settlement.digestOfGrant(grant)),
            receipt: receipt,
            receiptSignature: _sign(DEVICE_KEY, settlement.digestOfReceipt(receipt))
        });
    }

    function _list(ReceiptEvidence memory evidence) internal pure returns (ReceiptEvidence[] memory list) {
        list = new ReceiptEvidence[](1);
        list[0] = evidence;
    }
}
