// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IGasCredit} from "../contracts/interfaces/IGasCredit.sol";
import {ServerAccount, VendorAccount} from "../contracts/interfaces/ISettlement.sol";
import {Handler} from "./Handler.sol";
import {World} from "./World.sol";

/// @notice What holds after any sequence of calls.
contract InvariantsTest is World {
    Handler private handler;
    address[2] private vendors;

    function setUp() public override {
        super.setUp();
        handler = new Handler(token, gas, pool, settlement);
        gas.grantRole(gas.PRICE_ROLE(), address(handler));
        vendors = [handler.vendorAddress(), handler.LIAR()];
        handler.fund(100e8, PRICE, false);
        handler.fund(100e8, PRICE, true);
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(handler);
    }

    function invariant_gasIsBackedByTheCoinsHeld() public view {
        vm.assertEq(gas.totals().backingIoex, token.balanceOf(address(gas)), "backing");
    }

    function invariant_gasAccountsSumToTheTotal() public view {
        IGasCredit.Account memory sum = gas.accountOf(address(settlement));
        for (uint256 i = 0; i < 2; ++i) {
            sum.gas18 += gas.accountOf(vendors[i]).gas18;
            sum.backingIoex += gas.accountOf(vendors[i]).backingIoex;
        }
        vm.assertEq(sum.gas18, gas.totals().gas18, "gas");
        vm.assertEq(sum.backingIoex, gas.totals().backingIoex, "backing");
    }

    function invariant_escrowsSumToWhatSettlementHolds() public view {
        VendorAccount memory honest = settlement.vendorOf(vendors[0]);
        VendorAccount memory liar = settlement.vendorOf(vendors[1]);
        IGasCredit.Account memory held = gas.accountOf(address(settlement));
        vm.assertEq(uint256(honest.escrowGas18) + liar.escrowGas18, held.gas18, "gas");
        vm.assertEq(uint256(honest.escrowIoex) + liar.escrowIoex, held.backingIoex, "backing");
    }

    function invariant_supplyIsGenesisLessBurnedPlusPaid() public view {
        uint256 burned = 0;
        for (uint256 i = 0; i < 2; ++i) {
            burned += settlement.vendorOf(vendors[i]).burnedIoex;
        }
        vm.assertEq(token.totalSupply(), token.GENESIS_SUPPLY() - burned + pool.paid(), "supply");
    }

    function invariant_rewardsStayWithinKTimesTheBurned() public view {
        uint256 rights = 0;
        for (uint256 i = 0; i < 2; ++i) {
            VendorAccount memory account = settlement.vendorOf(vendors[i]);
            uint256 paid = 0;
            for (uint256 s = 0; s < handler.SERVERS(); ++s) {
                paid += settlement.serverOf(vendors[i], handler.serverAddress(s)).paidIoex;
            }
            vm.assertEq(paid, account.paidIoex, "servers sum to the vendor");
            vm.assertLe(paid * 10_000, uint256(account.burnedIoex) * 9_500, "k");
            rights += settlement.rewardOf(vendors[i]);
        }
        vm.assertEq(rights, pool.reserved(), "rights");
    }

    function invariant_emissionStaysUnderTheCeiling() public view {
        vm.assertLe(pool.reserved(), pool.ceiling(), "reserved");
        vm.assertLe(pool.paid(), pool.reserved(), "paid");
    }

    function invariant_reservationsSumAndStayWithinTheEscrow() public view {
        VendorAccount memory account = settlement.vendorOf(vendors[0]);
        uint256 sum = 0;
        for (uint256 s = 0; s < handler.SERVERS(); ++s) {
            ServerAccount memory mine = settlement.serverOf(vendors[0], handler.serverAddress(s));
            sum += mine.reservedGas18;
        }
        vm.assertEq(sum, account.reservedGas18, "sum");
        vm.assertLe(account.reservedGas18, account.escrowGas18, "escrow");
    }

    function invariant_grantsStayWithinTheirBytes() public view {
        for (uint256 i = 0; i < 4; ++i) {
            (, uint64 all) = settlement.grantBytesOf(handler.grantIdOf(i), handler.serverAddress(0));
            vm.assertLe(all, handler.GRANT_BYTES(), "grant");
        }
    }

    /// @notice Over both ways together a vendor is charged for what was served, and not twice. Each post may leave
    /// service whose reward is below one unit of 1e-8 ioeX, and a claim of last resort may charge that again.
    function invariant_vendorIsChargedOnceForWhatWasServed() public view {
        uint256 dust = handler.posts() * handler.SERVERS() * 5 * 101 * 1e10;
        vm.assertLe(settlement.vendorOf(vendors[0]).burnedGas18, handler.worth() + dust + 12, "charged twice");
    }
}
