// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

interface IPriceOracle {
    function getUnderlyingPrice(address market) external view returns (uint256);
}

interface IComptroller {
    function getAssetsIn(address account) external view returns (address[] memory);
    function liquidationIncentiveMantissa() external view returns (uint256);
    function markets(address market) external view returns (bool, uint256, bool);
    function oracle() external view returns (IPriceOracle);
}

interface IMarket {
    function exchangeRateStored() external view returns (uint256);
    function getAccountSnapshot(address account)
        external
        view
        returns (uint256, uint256 tokens, uint256 owed, uint256 rate);
}

/// What Compound's Comptroller reckons itself, and that of a Venus before pools asks a lens for. Ours, by
/// the rules of Compound's `getHypotheticalAccountLiquidityInternal` and `liquidateCalculateSeizeTokens`:
/// no lens of that time is published. It rounds products of mantissas half up where it is told to, as
/// Comptrollers did until 2021.
contract PlainLens {
    uint256 private constant WAD = 1e18;
    bool private immutable HALF_UP;

    constructor(bool halfUp) {
        HALF_UP = halfUp;
    }

    function getHypotheticalAccountLiquidity(
        address comptroller,
        address account,
        address changed,
        uint256 redeemed,
        uint256 borrowed
    ) external view returns (uint256, uint256, uint256) {
        (uint256 held, uint256 owing) = _sums(IComptroller(comptroller), account);
        if (changed != address(0)) {
            (uint256 weight, uint256 price) = _weigh(IComptroller(comptroller), changed);
            owing += weight * redeemed / WAD + price * borrowed / WAD;
        }
        return held > owing ? (0, held - owing, uint256(0)) : (0, uint256(0), owing - held);
    }

    function liquidateCalculateSeizeTokens(
        address comptroller,
        address borrowed,
        address collateral,
        uint256 repaid
    ) external view returns (uint256, uint256) {
        IPriceOracle oracle = IComptroller(comptroller).oracle();
        uint256 incentive = IComptroller(comptroller).liquidationIncentiveMantissa();
        uint256 above = _mul(incentive, oracle.getUnderlyingPrice(borrowed));
        uint256 below = _mul(oracle.getUnderlyingPrice(collateral), IMarket(collateral).exchangeRateStored());
        return (0, above * WAD / below * repaid / WAD);
    }

    function _sums(IComptroller comptroller, address account)
        private
        view
        returns (uint256 held, uint256 owing)
    {
        address[] memory markets = comptroller.getAssetsIn(account);
        for (uint256 i; i < markets.length; ++i) {
            (uint256 weight, uint256 price) = _weigh(comptroller, markets[i]);
            (, uint256 tokens, uint256 owed,) = IMarket(markets[i]).getAccountSnapshot(account);
            held += weight * tokens / WAD;
            owing += price * owed / WAD;
        }
    }

    function _weigh(IComptroller comptroller, address market)
        private
        view
        returns (uint256 weight, uint256 price)
    {
        (, uint256 factor,) = comptroller.markets(market);
        price = comptroller.oracle().getUnderlyingPrice(market);
        weight = _mul(_mul(factor, IMarket(market).exchangeRateStored()), price);
    }

    function _mul(uint256 a, uint256 b) private view returns (uint256) {
        return (a * b + (HALF_UP ? WAD / 2 : 0)) / WAD;
    }
}
