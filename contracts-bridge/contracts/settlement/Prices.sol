// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AccessControl} from "@openzeppelin/contracts/access/AccessControl.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {ISettlement, Price} from "../interfaces/ISettlement.sol";

/// @notice Price versions, each fixed once, so that a signed grant means the same for ever.
abstract contract Prices is ISettlement, AccessControl {
    bytes32 public constant PRICE_ROLE = keccak256("PRICE_ROLE");

    mapping(bytes32 service => mapping(uint32 version => Price)) private _prices;

    /// @inheritdoc ISettlement
    function registerPrice(bytes32 service, uint32 version, uint128 priceGas18, uint64 unitBytes)
        external
        onlyRole(PRICE_ROLE)
    {
        if (unitBytes == 0) revert PriceUnknown(service, version);
        if (_prices[service][version].unitBytes != 0) revert PriceTaken(service, version);
        _prices[service][version] = Price(priceGas18, unitBytes);
        emit PriceRegistered(service, version, priceGas18, unitBytes);
    }

    /// @inheritdoc ISettlement
    function priceOf(bytes32 service, uint32 version) public view returns (Price memory) {
        return _prices[service][version];
    }

    function _amount(bytes32 service, uint32 version, uint256 cumulativeBytes) internal view returns (uint256) {
        Price memory price = _prices[service][version];
        if (price.unitBytes == 0) revert PriceUnknown(service, version);
        return Math.mulDiv(cumulativeBytes, price.priceGas18, price.unitBytes);
    }
}
