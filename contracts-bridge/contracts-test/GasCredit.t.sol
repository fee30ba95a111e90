// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAccessControl} from "@openzeppelin/contracts/access/IAccessControl.sol";
import {GasCredit} from "../contracts/GasCredit.sol";
import {IoexToken} from "../contracts/IoexToken.sol";
import {IGasCredit} from "../contracts/interfaces/IGasCredit.sol";
import {IIoexToken} from "../contracts/interfaces/IIoexToken.sol";
import {World} from "./World.sol";

contract GasCreditTest is World {
    bytes32 private constant PERMIT_TYPEHASH =
        keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)");

    function test_genesis_goesToTheTreasury() public view {
        vm.assertEq(token.balanceOf(treasury), 200_000_000e8, "treasury");
        vm.assertEq(token.totalSupply(), 200_000_000e8, "supply");
        vm.assertEq(token.decimals(), 8, "decimals");
    }

    function test_genesis_needsATreasury() public {
        vm.expectRevert(IIoexToken.TreasuryMissing.selector);
        new IoexToken(address(0), address(this));
    }

    function test_mint_isForThePoolOnly() public {
        vm.expectPartialRevert(IAccessControl.AccessControlUnauthorizedAccount.selector);
        token.mint(vendor, 1);
    }

    function test_convert_leavesTheCoinsBehind() public {
        vm.assertEq(_convert(vendor, 3 * IOEX), 30 * GAS, "ten GAS for a coin");
        IGasCredit.Account memory account = gas.accountOf(vendor);
        vm.assertEq(account.gas18, 30 * GAS, "gas");
        vm.assertEq(account.backingIoex, 3 * IOEX, "backing");
        vm.assertEq(token.balanceOf(address(gas)), 3 * IOEX, "held");
    }

    function test_convert_refusesNothing() public {
        vm.expectRevert(IGasCredit.NothingToConvert.selector);
        gas.convert(0, 0);
    }

    function test_convert_keepsToTheMinimumAskedFor() public {
        gas.setPrice(9 * GAS);
        vm.expectRevert(abi.encodeWithSelector(IGasCredit.LessGasThanAsked.selector, 9 * GAS, 10 * GAS));
        vm.prank(vendor);
        gas.convert(IOEX, 10 * GAS);
    }

    function test_convertWithPermit_isOneTransaction() public {
        (uint8 v, bytes32 r, bytes32 s) = _permit(IOEX);
        vm.prank(vendor);
        gas.convertWithPermit(IOEX, 0, type(uint256).max, v, r, s);
        vm.assertEq(gas.accountOf(vendor).gas18, 10 * GAS, "gas");
    }

    function test_convertWithPermit_worksWhenSomebodyElseSentThePermit() public {
        (uint8 v, bytes32 r, bytes32 s) = _permit(IOEX);
        token.permit(vendor, address(gas), IOEX, type(uint256).max, v, r, s);
        vm.prank(vendor);
        gas.convertWithPermit(IOEX, 0, type(uint256).max, v, r, s);
        vm.assertEq(gas.accountOf(vendor).gas18, 10 * GAS, "gas");
    }

    function test_setPrice_staysWithinBounds() public {
        vm.expectPartialRevert(IGasCredit.PriceOutOfBounds.selector);
        gas.setPrice(10_000 * GAS + 1);
        vm.expectPartialRevert(IGasCredit.PriceOutOfBounds.selector);
        gas.setPrice(GAS / 100 - 1);
    }

    function test_setPrice_isForItsRoleOnly() public {
        vm.prank(vendor);
        vm.expectPartialRevert(IAccessControl.AccessControlUnauthorizedAccount.selector);
        gas.setPrice(PRICE);
    }

    function test_collectReleaseBurn_areForSettlementOnly() public {
        _convert(vendor, IOEX);
        vm.expectPartialRevert(IAccessControl.AccessControlUnauthorizedAccount.selector);
        gas.collect(vendor, 1);
        vm.expectPartialRevert(IAccessControl.AccessControlUnauthorizedAccount.selector);
        gas.release(vendor, 1, 1);
        vm.expectPartialRevert(IAccessControl.AccessControlUnauthorizedAccount.selector);
        gas.burn(1, 1);
    }

    /// @dev There is no such function at all, so no pool contract can take GAS.
    function test_transfer_doesNotExist() public {
        _convert(vendor, IOEX);
        bytes[3] memory calls = [
            abi.encodeWithSignature("transfer(address,uint256)", other, 1),
            abi.encodeWithSignature("transferFrom(address,address,uint256)", vendor, other, 1),
            abi.encodeWithSignature("approve(address,uint256)", other, 1)
        ];
        for (uint256 i = 0; i < calls.length; ++i) {
            vm.prank(vendor);
            (bool done,) = address(gas).call(calls[i]);
            vm.assertTrue(!done, "moved");
        }
    }

    function testFuzz_convert_roundsDownAndStaysBacked(uint256 price, uint256 ioex) public {
        price = price % (10_000 * GAS - GAS / 100) + GAS / 100;
        ioex = ioex % 1_000_000e8 + 1;
        gas.setPrice(price);
        uint256 gas18 = _convert(vendor, ioex);
        vm.assertLe(gas18 * IOEX, ioex * price, "never more than the price says");
        vm.assertLt(ioex * price, (gas18 + 1) * IOEX, "and less than one unit below");
        vm.assertEq(gas.totals().backingIoex, token.balanceOf(address(gas)), "backed");
    }

    function _permit(uint256 amount) private returns (uint8 v, bytes32 r, bytes32 s) {
        vm.prank(treasury);
        token.transfer(vendor, amount);
        bytes32 content = keccak256(
            abi.encode(PERMIT_TYPEHASH, vendor, address(gas), amount, token.nonces(vendor), type(uint256).max)
        );
        return vm.sign(
            VENDOR_KEY, keccak256(abi.encodePacked("\x19\x01", token.DOMAIN_SEPARATOR(), content))
        );
    }
}
