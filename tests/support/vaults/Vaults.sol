// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ERC4626} from "@openzeppelin/contracts/token/ERC20/extensions/ERC4626.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

/// OpenZeppelin's vault, and what others make of it.
contract PlainVault is ERC4626 {
    uint8 private immutable _offset;

    constructor(IERC20 asset_, uint8 offset_) ERC20("vault", "vTKN") ERC4626(asset_) {
        _offset = offset_;
    }

    function _decimalsOffset() internal view override returns (uint8) {
        return _offset;
    }
}

/// A vault that keeps a fee of what leaves it, by the rounding of OpenZeppelin's `ERC4626Fees`.
contract FeeVault is PlainVault {
    using Math for uint256;
    using SafeERC20 for IERC20;

    uint256 public constant FEE_BPS = 100;
    address public constant TAKER = address(0xfee);

    constructor(IERC20 asset_) PlainVault(asset_, 0) {}

    function previewRedeem(uint256 shares) public view virtual override returns (uint256) {
        uint256 assets = super.previewRedeem(shares);
        return assets - _feeOnTotal(assets);
    }

    function previewWithdraw(uint256 assets) public view override returns (uint256) {
        return super.previewWithdraw(assets + assets.mulDiv(FEE_BPS, 10_000, Math.Rounding.Ceil));
    }

    function _withdraw(address caller, address to, address owner, uint256 assets, uint256 shares)
        internal
        override
    {
        super._withdraw(caller, to, owner, assets, shares);
        uint256 fee = assets.mulDiv(FEE_BPS, 10_000, Math.Rounding.Ceil);
        IERC20(asset()).safeTransfer(TAKER, fee);
    }

    function _feeOnTotal(uint256 assets) private pure returns (uint256) {
        return assets.mulDiv(FEE_BPS, FEE_BPS + 10_000, Math.Rounding.Ceil);
    }
}

/// A vault that behaves until it is told otherwise.
contract MoodyVault is PlainVault {
    uint256 public most = type(uint256).max;
    bool public isSilent;
    bool public isTiered;

    constructor(IERC20 asset_) PlainVault(asset_, 0) {}

    function allow(uint256 most_) external {
        most = most_;
    }

    function silence() external {
        isSilent = true;
    }

    function tier() external {
        isTiered = true;
    }

    function lose(uint256 assets) external {
        IERC20(asset()).transfer(address(0xdead), assets);
    }

    function maxRedeem(address owner) public view override returns (uint256) {
        return Math.min(super.maxRedeem(owner), most);
    }

    function previewRedeem(uint256 shares) public view override returns (uint256) {
        require(!isSilent, "not now");
        uint256 assets = super.previewRedeem(shares);
        return isTiered && shares > 10 ** decimals() ? assets * 9 / 10 : assets;
    }
}
