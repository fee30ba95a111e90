// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title GAS credit
/// @notice What services are priced in. GAS (18 decimals) comes into being when ioeX is left behind as its
/// backing; it is no token: there is no transfer and no approval, so no exchange can hold it. Each account keeps
/// its own cost basis, hence settlement needs no price feed and stays solvent at any price.
interface IGasCredit {
    /// @notice GAS of one account and the ioeX that stays behind it.
    struct Account {
        uint128 gas18;
        uint128 backingIoex;
    }

    /// @notice The price is outside the bounds that were fixed at deployment.
    error PriceOutOfBounds(uint256 priceGas18PerIoex, uint256 minimum, uint256 maximum);
    /// @notice The amount is zero, or so small that it makes no GAS.
    error NothingToConvert();
    /// @notice The price moved: the caller would get less GAS than asked for.
    error LessGasThanAsked(uint256 gas18, uint256 minGas18);
    /// @notice The account holds less than what should leave it.
    error InsufficientGas(address account, uint256 available, uint256 wanted);

    /// @notice GAS per coin was set. @param priceGas18PerIoex GAS (18 decimals) for one whole coin (1e8 units)
    event PriceSet(uint256 priceGas18PerIoex);
    /// @notice An account left ioeX behind and got GAS.
    event Converted(address indexed account, uint256 ioex, uint256 gas18);
    /// @notice GAS moved with its share of the backing, from or to the settlement contract.
    event Moved(address indexed from, address indexed to, uint256 gas18, uint256 backingIoex);
    /// @notice GAS was spent: it is gone, and so is the ioeX behind it.
    event Burned(uint256 gas18, uint256 backingIoex);

    /// @notice GAS (18 decimals) that one whole coin (1e8 base units) gives.
    function priceGas18PerIoex() external view returns (uint256);

    /// @notice The account's GAS and the ioeX behind it.
    function accountOf(address account) external view returns (Account memory);

    /// @notice Sum over all accounts. The backing equals the coins that this contract holds, or is less when
    /// somebody sent coins here by mistake.
    function totals() external view returns (Account memory);

    /// @notice Sets the price for later conversions; only for the holder of PRICE_ROLE.
    function setPrice(uint256 newPriceGas18PerIoex) external;

    /// @notice Turns ioeX of the caller (approved before) into GAS, rounded down.
    /// @param ioexAmount base units of 1e-8
    /// @param minGas18 reverts with LessGasThanAsked below it
    function convert(uint256 ioexAmount, uint256 minGas18) external returns (uint256 gas18);

    /// @notice The same in one transaction, with an EIP-2612 permit of the caller instead of an approval.
    function convertWithPermit(
        uint256 ioexAmount,
        uint256 minGas18,
        uint256 deadline,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external returns (uint256 gas18);

    /// @notice Moves GAS of an account to the caller with its share of the backing, rounded down; all of it when
    /// all GAS moves. Only for the holder of SETTLEMENT_ROLE.
    function collect(address from, uint256 gas18) external returns (uint256 backingIoex);

    /// @notice Moves GAS and backing of the caller to an account. Only for the holder of SETTLEMENT_ROLE.
    function release(address to, uint256 gas18, uint256 backingIoex) external;

    /// @notice Destroys GAS of the caller, and the coins behind it. Only for the holder of SETTLEMENT_ROLE.
    function burn(uint256 gas18, uint256 backingIoex) external;
}
