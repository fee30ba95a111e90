// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";
import {Grant, PinOrder, Receipt, Vouchers} from "../contracts/types/Vouchers.sol";
import {World} from "./World.sol";

/// @notice The digests of test/vectors/eip712.json, which node/receipts gives too.
contract VouchersTest is World {
    using Vouchers for Grant;
    using Vouchers for PinOrder;
    using Vouchers for Receipt;

    string private json;

    function setUp() public override {
        super.setUp();
        json = vm.readFile("test/vectors/eip712.json");
    }

    function test_hash_equalsTheVectors() public view {
        bytes32 domain = vm.parseJsonBytes32(json, ".domainSeparator");
        uint256 count = 0;
        for (; vm.keyExistsJson(json, _path(count, "")); ++count) {
            bytes32 found = _hash(count);
            vm.assertEq(found, vm.parseJsonBytes32(json, _path(count, ".structHash")), "struct hash");
            bytes32 digest = MessageHashUtils.toTypedDataHash(domain, found);
            vm.assertEq(digest, vm.parseJsonBytes32(json, _path(count, ".digest")), "digest");
        }
        vm.assertGe(count, 6, "too few vectors");
    }

    /// @dev The contract's own domain differs from the file's in chain and address only.
    function test_digestOf_usesTheDomainOfTheSettlement() public view {
        bytes32 typeHash =
            keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");
        bytes32 inFile = keccak256(
            abi.encode(
                typeHash,
                keccak256("ioeX"),
                keccak256("1"),
                vm.parseJsonUint(json, ".domain.chainId"),
                vm.parseJsonAddress(json, ".domain.verifyingContract")
            )
        );
        vm.assertEq(inFile, vm.parseJsonBytes32(json, ".domainSeparator"), "file");
        bytes32 here = keccak256(
            abi.encode(typeHash, keccak256("ioeX"), keccak256("1"), block.chainid, address(settlement))
        );
        Grant memory grant = _grant(1, 1);
        vm.assertEq(
            settlement.digestOfGrant(grant), MessageHashUtils.toTypedDataHash(here, grant.hash()), "settlement"
        );
    }

    function _hash(uint256 index) private view returns (bytes32) {
        bytes32 kind = keccak256(bytes(_text(index)));
        if (kind == keccak256("Grant")) return _grantOf(index).hash();
        if (kind == keccak256("Receipt")) return _receiptOf(index).hash();
        vm.assertEq(kind, keccak256("PinOrder"), "a type that is not known here");
        return _pinOrderOf(index).hash();
    }

    function _grantOf(uint256 index) private view returns (Grant memory grant) {
        grant.vendor = vm.parseJsonAddress(json, _path(index, ".message.vendor"));
        grant.device = vm.parseJsonAddress(json, _path(index, ".message.device"));
        grant.root = vm.parseJsonBytes32(json, _path(index, ".message.root"));
        grant.deltaRoot = vm.parseJsonBytes32(json, _path(index, ".message.deltaRoot"));
        grant.maxBytes = uint64(vm.parseJsonUint(json, _path(index, ".message.maxBytes")));
        grant.service = vm.parseJsonBytes32(json, _path(index, ".message.service"));
        grant.priceVersion = uint32(vm.parseJsonUint(json, _path(index, ".message.priceVersion")));
        grant.notBefore = uint64(vm.parseJsonUint(json, _path(index, ".message.notBefore")));
        grant.notAfter = uint64(vm.parseJsonUint(json, _path(index, ".message.notAfter")));
        grant.serial = uint64(vm.parseJsonUint(json, _path(index, ".message.serial")));
    }

    function _receiptOf(uint256 index) private view returns (Receipt memory receipt) {
        receipt.grantId = vm.parseJsonBytes32(json, _path(index, ".message.grantId"));
        receipt.server = vm.parseJsonAddress(json, _path(index, ".message.server"));
        receipt.serverBytes = uint64(vm.parseJsonUint(json, _path(index, ".message.serverBytes")));
        receipt.grantBytes = uint64(vm.parseJsonUint(json, _path(index, ".message.grantBytes")));
    }

    function _pinOrderOf(uint256 index) private view returns (PinOrder memory order) {
        order.payer = vm.parseJsonAddress(json, _path(index, ".message.payer"));
        order.roots = vm.parseJsonBytes32Array(json, _path(index, ".message.roots"));
        order.bytes_ = uint64(vm.parseJsonUint(json, _path(index, ".message.bytes")));
        order.from = uint64(vm.parseJsonUint(json, _path(index, ".message.from")));
        order.until = uint64(vm.parseJsonUint(json, _path(index, ".message.until")));
        order.copies = uint32(vm.parseJsonUint(json, _path(index, ".message.copies")));
        order.service = vm.parseJsonBytes32(json, _path(index, ".message.service"));
        order.priceVersion = uint32(vm.parseJsonUint(json, _path(index, ".message.priceVersion")));
        order.signers = vm.parseJsonAddressArray(json, _path(index, ".message.signers"));
    }

    function _text(uint256 index) private view returns (string memory) {
        return vm.parseJsonString(json, _path(index, ".primaryType"));
    }

    function _path(uint256 index, string memory rest) private pure returns (string memory) {
        return string.concat(".cases[", vm.toString(index), "]", rest);
    }
}
