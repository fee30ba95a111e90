// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AccessControl} from "@openzeppelin/contracts/access/AccessControl.sol";
import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {IERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";
import {ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";
import {IIoexToken} from "./interfaces/IIoexToken.sol";

/// @notice The coin; see {IIoexToken}.
contract IoexToken is IIoexToken, ERC20Permit, AccessControl {
    bytes32 public constant MINTER_ROLE = keccak256("MINTER_ROLE");

    /// @inheritdoc IIoexToken
    uint256 public constant GENESIS_SUPPLY = 200_000_000e8;

    constructor(address treasury, address admin) ERC20("ioeX", "IOEX") ERC20Permit("ioeX") {
        if (treasury == address(0)) revert TreasuryMissing();
        _grantRole(DEFAULT_ADMIN_ROLE, admin);
        _mint(treasury, GENESIS_SUPPLY);
    }

    function decimals() public pure override returns (uint8) {
        return 8;
    }

    /// @inheritdoc IIoexToken
    function mint(address to, uint256 amount) external onlyRole(MINTER_ROLE) {
        _mint(to, amount);
    }

    /// @inheritdoc IIoexToken
    function burn(uint256 amount) external {
        _burn(msg.sender, amount);
    }

    function nonces(address owner) public view override(ERC20Permit, IERC20Permit) returns (uint256) {
        return super.nonces(owner);
    }
}
