// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {Market, MarketParams} from "./MorphoModels.sol";

/// Early liquidation of Morpho Blue's positions by consent. Ours, as Morpho's own `PreLiquidation` is
/// not published as a package: it keeps the same rules, errors, events and calls.

struct Position {
    uint256 supplyShares;
    uint128 borrowShares;
    uint128 collateral;
}

interface IMorpho {
    function accrueInterest(MarketParams memory params) external;
    function idToMarketParams(bytes32 id) external view returns (MarketParams memory);
    function market(bytes32 id) external view returns (Market memory);
    function position(bytes32 id, address account) external view returns (Position memory);
    function repay(
        MarketParams memory params,
        uint256 assets,
        uint256 shares,
        address onBehalf,
        bytes memory data
    ) external returns (uint256, uint256);
    function withdrawCollateral(
        MarketParams memory params,
        uint256 assets,
        address onBehalf,
        address receiver
    ) external;
}

interface IPriced {
    function price() external view returns (uint256);
}

interface IPreLiquidator {
    function onPreLiquidate(uint256 repaidAssets, bytes calldata data) external;
}

interface IToken {
    function approve(address spender, uint256 amount) external returns (bool);
    function transferFrom(address from, address to, uint256 amount) external returns (bool);
}

struct PreLiquidationParams {
    uint256 preLltv;
    uint256 preLCF1;
    uint256 preLCF2;
    uint256 preLIF1;
    uint256 preLIF2;
    address preLiquidationOracle;
}

contract EarlyLiquidation {
    error LiquidatablePosition();
    error NotPreLiquidatablePosition();
    error PreLiquidationTooLarge(uint256 repaidShares, uint256 repayableShares);
    error InconsistentInput();
    error NotMorpho();
    error BadParameters();

    event PreLiquidate(
        bytes32 indexed id,
        address indexed liquidator,
        address indexed borrower,
        uint256 repaidAssets,
        uint256 repaidShares,
        uint256 seizedAssets
    );

    uint256 private constant WAD = 1e18;
    uint256 private constant PRICE_SCALE = 1e36;

    IMorpho public immutable MORPHO;
    bytes32 public immutable ID;
    MarketParams private _market;
    PreLiquidationParams private _terms;

    constructor(IMorpho morpho, bytes32 id, PreLiquidationParams memory terms) {
        MORPHO = morpho;
        ID = id;
        _market = morpho.idToMarketParams(id);
        _terms = terms;
        if (
            terms.preLltv >= _market.lltv || terms.preLCF1 > terms.preLCF2 || terms.preLCF1 > WAD
                || terms.preLIF1 < WAD || terms.preLIF1 > terms.preLIF2
                || terms.preLIF2 > WAD * WAD / _market.lltv
        ) revert BadParameters();
        IToken(_market.loanToken).approve(address(morpho), type(uint256).max);
    }

    function marketParams() external view returns (MarketParams memory) {
        return _market;
    }

    function preLiquidationParams() external view returns (PreLiquidationParams memory) {
        return _terms;
    }

    function preLiquidate(
        address borrower,
        uint256 seizedAssets,
        uint256 repaidShares,
        bytes calldata data
    ) external returns (uint256, uint256) {
        (seizedAssets, repaidShares) = _amounts(borrower, seizedAssets, repaidShares);
        bytes memory callbackData = abi.encode(seizedAssets, borrower, msg.sender, data);
        (uint256 repaidAssets,) = MORPHO.repay(_market, 0, repaidShares, borrower, callbackData);
        emit PreLiquidate(ID, msg.sender, borrower, repaidAssets, repaidShares, seizedAssets);
        return (seizedAssets, repaidAssets);
    }

    function _amounts(address borrower, uint256 seized, uint256 shares)
        private
        returns (uint256, uint256)
    {
        if ((seized == 0) == (shares == 0)) revert InconsistentInput();
        MORPHO.accrueInterest(_market);
        Market memory totals = MORPHO.market(ID);
        uint256 price = IPriced(_terms.preLiquidationOracle).price();
        (uint256 incentive, uint256 repayable) =
            _curve(totals, MORPHO.position(ID, borrower), price);
        uint256 owed = uint256(totals.totalBorrowAssets) + 1;
        uint256 issued = uint256(totals.totalBorrowShares) + 1e6;
        if (seized != 0) {
            shares = _up(_up(_up(seized, price, PRICE_SCALE), WAD, incentive), issued, owed);
        } else {
            seized = shares * owed / issued * incentive / WAD * PRICE_SCALE / price;
        }
        if (shares > repayable) revert PreLiquidationTooLarge(shares, repayable);
        return (seized, shares);
    }

    function onMorphoRepay(uint256 repaidAssets, bytes calldata callbackData) external {
        if (msg.sender != address(MORPHO)) revert NotMorpho();
        (uint256 seized, address borrower, address liquidator, bytes memory data) =
            abi.decode(callbackData, (uint256, address, address, bytes));
        MORPHO.withdrawCollateral(_market, seized, borrower, liquidator);
        if (data.length != 0) IPreLiquidator(liquidator).onPreLiquidate(repaidAssets, data);
        require(
            IToken(_market.loanToken).transferFrom(liquidator, address(this), repaidAssets),
            "transferFrom returned false"
        );
    }

    function _curve(Market memory totals, Position memory held, uint256 price)
        private
        view
        returns (uint256 incentive, uint256 repayable)
    {
        uint256 value = uint256(held.collateral) * price / PRICE_SCALE;
        uint256 owed = _up(
            held.borrowShares,
            uint256(totals.totalBorrowAssets) + 1,
            uint256(totals.totalBorrowShares) + 1e6
        );
        if (owed > value * _market.lltv / WAD) revert LiquidatablePosition();
        if (owed <= value * _terms.preLltv / WAD) revert NotPreLiquidatablePosition();
        uint256 ltv = _up(owed, WAD, value);
        uint256 share = (ltv - _terms.preLltv) * WAD / (_market.lltv - _terms.preLltv);
        incentive = share * (_terms.preLIF2 - _terms.preLIF1) / WAD + _terms.preLIF1;
        uint256 close = share * (_terms.preLCF2 - _terms.preLCF1) / WAD + _terms.preLCF1;
        repayable = uint256(held.borrowShares) * close / WAD;
    }

    function _up(uint256 a, uint256 b, uint256 c) private pure returns (uint256) {
        return (a * b + c - 1) / c;
    }
}

contract EarlyLiquidationFactory {
    event CreatePreLiquidation(
        address indexed preLiquidation, bytes32 id, PreLiquidationParams preLiquidationParams
    );

    IMorpho public immutable MORPHO;

    constructor(IMorpho morpho) {
        MORPHO = morpho;
    }

    function createPreLiquidation(bytes32 id, PreLiquidationParams calldata params)
        external
        returns (EarlyLiquidation made)
    {
        made = new EarlyLiquidation(MORPHO, id, params);
        emit CreatePreLiquidation(address(made), id, params);
    }
}
