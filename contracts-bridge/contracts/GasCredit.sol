// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AccessControl} from "@openzeppelin/contracts/access/AccessControl.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {IGasCredit} from "./interfaces/IGasCredit.sol";
import {IIoexToken} from "./interfaces/IIoexToken.sol";

/// @notice The vault of all GAS; see {IGasCredit}.
contract GasCredit is IGasCredit, AccessControl {
    using SafeCast for uint256;
    using SafeERC20 for IIoexToken;

    bytes32 public constant PRICE_ROLE = keccak256("PRICE_ROLE");
    bytes32 public constant SETTLEMENT_ROLE = keccak256("SETTLEMENT_ROLE");

    /// @dev Base units in one whole coin.
    uint256 private constant IOEX_UNIT = 1e8;

    IIoexToken public immutable IOEX;
    uint256 public immutable MIN_PRICE;
    uint256 public immutable MAX_PRICE;

    /// @inheritdoc IGasCredit
    uint256 public priceGas18PerIoex;

    mapping(address account => Account) private _accounts;
    Account private _totals;

    constructor(IIoexToken ioex, address admin, uint256 price, uint256 minPrice, uint256 maxPrice) {
        IOEX = ioex;
        if (minPrice == 0 || minPrice > maxPrice) revert PriceOutOfBounds(price, minPrice, maxPrice);
        MIN_PRICE = minPrice;
        MAX_PRICE = maxPrice;
        _grantRole(DEFAULT_ADMIN_ROLE, admin);
        _setPrice(price);
    }

    /// @inheritdoc IGasCredit
    function accountOf(address account) external view returns (Account memory) {
        return _accounts[account];
    }

    /// @inheritdoc IGasCredit
    function totals() external view returns (Account memory) {
        return _totals;
    }

    /// @inheritdoc IGasCredit
    function setPrice(uint256 newPriceGas18PerIoex) external onlyRole(PRICE_ROLE) {
        _setPrice(newPriceGas18PerIoex);
    }

    /// @inheritdoc IGasCredit
    function convert(uint256 ioexAmount, uint256 minGas18) external returns (uint256 gas18) {
        return _convert(ioexAmount, minGas18);
    }

    /// @inheritdoc IGasCredit
    function convertWithPermit(
        uint256 ioexAmount,
        uint256 minGas18,
        uint256 deadline,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external returns (uint256 gas18) {
        // Somebody may have sent the same permit before us: then the allowance is there and the call goes on.
        if (IOEX.allowance(msg.sender, address(this)) < ioexAmount) {
            IOEX.permit(msg.sender, address(this), ioexAmount, deadline, v, r, s);
        }
        return _convert(ioexAmount, minGas18);
    }

    /// @inheritdoc IGasCredit
    function collect(address from, uint256 gas18) external onlyRole(SETTLEMENT_ROLE) returns (uint256 backingIoex) {
        Account memory account = _accounts[from];
        if (gas18 > account.gas18) revert InsufficientGas(from, account.gas18, gas18);
        backingIoex = gas18 == account.gas18
            ? account.backingIoex
            : Math.mulDiv(account.backingIoex, gas18, account.gas18);
        _move(from, msg.sender, gas18, backingIoex);
    }

    /// @inheritdoc IGasCredit
    function release(address to, uint256 gas18, uint256 backingIoex) external onlyRole(SETTLEMENT_ROLE) {
        _move(msg.sender, to, gas18, backingIoex);
    }

    /// @inheritdoc IGasCredit
    function burn(uint256 gas18, uint256 backingIoex) external onlyRole(SETTLEMENT_ROLE) {
        _take(msg.sender, gas18, backingIoex);
        _totals.gas18 -= gas18.toUint128();
        _totals.backingIoex -= backingIoex.toUint128();
        emit Burned(gas18, backingIoex);
        IOEX.burn(backingIoex);
    }

    function _convert(uint256 ioexAmount, uint256 minGas18) private returns (uint256 gas18) {
        gas18 = Math.mulDiv(ioexAmount, priceGas18PerIoex, IOEX_UNIT);
        if (gas18 == 0) revert NothingToConvert();
        if (gas18 < minGas18) revert LessGasThanAsked(gas18, minGas18);
        _put(msg.sender, gas18, ioexAmount);
        _totals.gas18 += gas18.toUint128();
        _totals.backingIoex += ioexAmount.toUint128();
        emit Converted(msg.sender, ioexAmount, gas18);
        IOEX.safeTransferFrom(msg.sender, address(this), ioexAmount);
    }

    function _move(address from, address to, uint256 gas18, uint256 backingIoex) private {
        _take(from, gas18, backingIoex);
        _put(to, gas18, backingIoex);
        emit Moved(from, to, gas18, backingIoex);
    }

    function _put(address to, uint256 gas18, uint256 backingIoex) private {
        Account storage account = _accounts[to];
        account.gas18 += gas18.toUint128();
        account.backingIoex += backingIoex.toUint128();
    }

    function _take(address from, uint256 gas18, uint256 backingIoex) private {
        Account storage account = _accounts[from];
        if (gas18 > account.gas18 || backingIoex > account.backingIoex) {
            revert InsufficientGas(from, account.gas18, gas18);
        }
        account.gas18 -= gas18.toUint128();
        account.backingIoex -= backingIoex.toUint128();
    }

    function _setPrice(uint256 price) private {
        if (price < MIN_PRICE || price > MAX_PRICE) revert PriceOutOfBounds(price, MIN_PRICE, MAX_PRICE);
        priceGas18PerIoex = price;
        emit PriceSet(price);
    }
}
