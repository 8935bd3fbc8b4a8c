// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

/// Rate models and oracles for markets of Morpho Blue, of the kinds that are in no package. They are ours,
/// and answer by the same rules as Morpho's, so that a keeper can be held to them on a local chain.

struct MarketParams {
    address loanToken;
    address collateralToken;
    address oracle;
    address irm;
    uint256 lltv;
}

struct Market {
    uint128 totalSupplyAssets;
    uint128 totalSupplyShares;
    uint128 totalBorrowAssets;
    uint128 totalBorrowShares;
    uint128 lastUpdate;
    uint128 fee;
}

interface IFeed {
    function decimals() external view returns (uint8);
    function latestRoundData() external view returns (uint80, int256, uint256, uint256, uint80);
}

interface IVault {
    function convertToAssets(uint256 shares) external view returns (uint256);
}

/// The rules of `FixedRateIrm`: a rate a market, set once by anybody.
contract FixedRateModel {
    mapping(bytes32 => uint256) public borrowRateStored;

    function setBorrowRate(bytes32 id, uint256 rate) external {
        require(borrowRateStored[id] == 0, "rate set");
        require(rate != 0, "rate zero");
        borrowRateStored[id] = rate;
    }

    function borrowRate(MarketParams calldata params, Market calldata)
        external
        view
        returns (uint256)
    {
        return _stored(params);
    }

    function borrowRateView(MarketParams calldata params, Market calldata)
        external
        view
        returns (uint256)
    {
        return _stored(params);
    }

    function _stored(MarketParams calldata params) private view returns (uint256 rate) {
        rate = borrowRateStored[keccak256(abi.encode(params))];
        require(rate != 0, "rate not set");
    }
}

/// A model of no known kind: a year's rate equal to utilization.
contract OddRateModel {
    function borrowRate(MarketParams calldata, Market calldata market)
        external
        pure
        returns (uint256)
    {
        return _rate(market);
    }

    function borrowRateView(MarketParams calldata, Market calldata market)
        external
        pure
        returns (uint256)
    {
        return _rate(market);
    }

    function _rate(Market calldata market) private pure returns (uint256) {
        if (market.totalSupplyAssets == 0) return 0;
        return uint256(market.totalBorrowAssets) * 1e18 / market.totalSupplyAssets / 365 days;
    }
}

/// The rules of `MorphoChainlinkOracleV2`: up to two feeds and a vault on each side of the pair.
contract FeedPairOracle {
    address public immutable BASE_VAULT;
    uint256 public immutable BASE_VAULT_CONVERSION_SAMPLE;
    IFeed public immutable BASE_FEED_1;
    IFeed public immutable BASE_FEED_2;
    address public immutable QUOTE_VAULT;
    uint256 public immutable QUOTE_VAULT_CONVERSION_SAMPLE;
    IFeed public immutable QUOTE_FEED_1;
    IFeed public immutable QUOTE_FEED_2;
    uint256 public immutable SCALE_FACTOR;

    struct Side {
        address vault;
        uint256 sample;
        IFeed first;
        IFeed second;
        uint256 decimals;
    }

    constructor(Side memory base, Side memory quote) {
        require(base.sample != 0 && quote.sample != 0, "vault conversion sample is zero");
        require(base.vault != address(0) || base.sample == 1, "vault conversion sample is not one");
        require(quote.vault != address(0) || quote.sample == 1, "vault conversion sample is not one");
        BASE_VAULT = base.vault;
        BASE_VAULT_CONVERSION_SAMPLE = base.sample;
        BASE_FEED_1 = base.first;
        BASE_FEED_2 = base.second;
        QUOTE_VAULT = quote.vault;
        QUOTE_VAULT_CONVERSION_SAMPLE = quote.sample;
        QUOTE_FEED_1 = quote.first;
        QUOTE_FEED_2 = quote.second;
        uint256 up = 36 + quote.decimals + _places(quote.first) + _places(quote.second);
        uint256 down = base.decimals + _places(base.first) + _places(base.second);
        SCALE_FACTOR = 10 ** (up - down) * quote.sample / base.sample;
    }

    function price() external view returns (uint256) {
        uint256 base = _assets(BASE_VAULT, BASE_VAULT_CONVERSION_SAMPLE) * _answer(BASE_FEED_1)
            * _answer(BASE_FEED_2);
        uint256 quote = _assets(QUOTE_VAULT, QUOTE_VAULT_CONVERSION_SAMPLE) * _answer(QUOTE_FEED_1)
            * _answer(QUOTE_FEED_2);
        return SCALE_FACTOR * base / quote;
    }

    function _assets(address vault, uint256 sample) private view returns (uint256) {
        return vault == address(0) ? 1 : IVault(vault).convertToAssets(sample);
    }

    function _answer(IFeed feed) private view returns (uint256) {
        if (address(feed) == address(0)) return 1;
        (, int256 answer,,,) = feed.latestRoundData();
        require(answer >= 0, "negative answer");
        return uint256(answer);
    }

    function _places(IFeed feed) private view returns (uint256) {
        return address(feed) == address(0) ? 0 : feed.decimals();
    }
}
